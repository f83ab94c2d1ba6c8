"""A token for each row of a step: its logits, steered by its answer so far, then the draw, and what was asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from workers.engine.base import Logprobs
from workers.engine.logprobs import logprobs_of
from workers.engine.sampling import Draw, choose
from workers.engine.steering import Steering, steer


@dataclass(frozen=True, slots=True)
class Drawn:
    """By row. Rows without steering and logprobs cost nothing beside the draw."""

    tokens: list[int | None]  # None where the logits are not finite
    logprobs: dict[int, Logprobs] = field(default_factory=dict)  # of rows that asked for them
    failures: dict[int, Exception] = field(default_factory=dict)  # of rows whose token means nothing


def draw_tokens(
    logits: torch.Tensor, draws: Sequence[Draw], steerings: Sequence[Steering | None], counts: Sequence[int | None]
) -> Drawn:
    """`counts`: how many logprobs each row asked for. Changes steered rows of `logits` (rows, vocab) in place."""
    asked = {row: count for row, count in enumerate(counts) if count is not None}
    plain = logits[list(asked)] if asked else logits  # a copy from before the steering
    if not any(steerings):
        failures, tokens = dict[int, Exception](), choose(logits, draws)
    else:
        failures = steer(logits, steerings)
        tokens = _settled(choose(logits, draws), steerings, failures)
    if not asked:
        return Drawn(tokens, failures=failures)
    told = logprobs_of(plain, [tokens[row] for row in asked], list(asked.values()))
    return Drawn(tokens, dict(zip(asked, told, strict=True)), failures)


def _settled(
    tokens: list[int | None], steerings: Sequence[Steering | None], failures: dict[int, Exception]
) -> list[int | None]:
    """What is taken of what was drawn. Adds the rows that fail."""
    for row, (token, steering) in enumerate(zip(tokens, steerings, strict=True)):
        if steering is not None and token is not None and row not in failures:
            try:
                tokens[row] = steering.settle(token)
            except Exception as error:  # it fails alone
                failures[row] = error
    return tokens
