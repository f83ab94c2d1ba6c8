"""Logprobs as a generation's document keeps them: [bytes, logprob, [[bytes, logprob], ...], start] for each token,
short because there may be twenty beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.chat import TokenLogprob
from shared.store.connection import Document


def logprobs_in_store(logprobs: Sequence[TokenLogprob] | None) -> Document:
    """The fields to set; none if no logprobs were asked for."""
    if logprobs is None:
        return {}
    kept = [
        [token.bytes, token.logprob, [[other.bytes, other.logprob] for other in token.top], token.start]
        for token in logprobs
    ]
    return {"logprobs": kept}


def logprobs_from_store(kept: Sequence[Sequence[Any]]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(bytes(text), logprob, tuple(TokenLogprob(bytes(other), value) for other, value in top), *start)
        for text, logprob, top, *start in kept
    )
