"""A model that is ready to answer: what the worker needs besides queues and stores. Knows no tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shared.prompting import TokenizerLike
from workers.detokenizer import Decoder
from workers.engine.base import Engine, Grammar, JsonSchema
from workers.engine.sampling_defaults import SamplingDefaults
from workers.engine.vocabulary import Vocabulary


class Tokenizer(TokenizerLike, Decoder, Protocol):
    """What the worker needs of a Hugging Face tokenizer."""


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
