"""A model that is ready to answer: what the worker needs besides queues and stores. Knows no tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.evidence import Evidence
from shared.prompting import TokenizerLike
from workers.detokenizer import Decoder
from workers.engine.base import Engine, Grammar, JsonSchema
from workers.engine.sampling_defaults import SamplingDefaults
from workers.engine.vocabulary import Vocabulary
from workers.pictures import Eyes, ShownPicture


class Tokenizer(TokenizerLike, Decoder, Protocol):
    """What the worker needs of a Hugging Face tokenizer."""


ThoughtsOf = Callable[[Sequence[ShownPicture]], Grammar | None]  # by its prompt's pictures
EvidenceOf = Callable[[Sequence[ShownPicture], Sequence[int]], Evidence | None]  # by its prompt's pictures, its tokens


def no_thoughts(pictures: Sequence[ShownPicture]) -> Grammar | None:
    """Of a model that writes freely."""
    return None


def no_evidence(pictures: Sequence[ShownPicture], token_ids: Sequence[int]) -> Evidence | None:
    """Of a model that cannot tell."""
    return None


@dataclass(frozen=True, slots=True)
class ServedModel:
    name: str  # in lanes, pages and metrics
    engine: Engine
    tokenizer: Tokenizer
    sampling: SamplingDefaults
    stop_text: str | None  # the answer ends before this text; None: the model's end tokens do it
    description: str  # one line for the operator: device, precision and why
    vocabulary: Vocabulary  # what tokens spell
    grammar: Callable[[str], Grammar | JsonSchema]  # of a JSON Schema (JSON text), slow; raises SchemaUnsupported
    eyes: Eyes | None = None  # None: it is shown no pictures
    thoughts: ThoughtsOf = no_thoughts  # what an answer about pictures must keep to
    evidence: EvidenceOf = no_evidence  # of a finished answer, slow
