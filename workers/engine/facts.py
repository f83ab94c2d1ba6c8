"""What is known of a model besides its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelFacts:
    digest: str  # names weights, tokenizer and chat template
    vocabulary: int
    context_length: int
    stop_ids: frozenset[int]
