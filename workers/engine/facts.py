"""What is known of a model besides its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """How a model with eyes is shown pictures."""

    placeholder: int  # the token id that stands for one vector of a picture in a prompt
    tokens: int  # of every picture
    height: int  # pixels
    width: int


@dataclass(frozen=True, slots=True)
class ModelFacts:
    digest: str  # names weights, tokenizer, chat template and numerics
    vocabulary: int
    context_length: int
    stop_ids: frozenset[int]
    numerics: str = "none"  # how the weights are quantised: "none", "nf4", "int8"; adapters are trained for one
    pictures: PictureFacts | None = None  # None: it has no eyes


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    name: str
    digest: str  # of its files: same digest and same base, same tokens
    rank: int  # the greatest of its layers
    is_dora: bool
    base_digest: str
    numerics: str  # of the base it was trained on, which are this worker's
    size_bytes: int  # in the model's memory
