"""How much of what a model reads at once a conversation fills, and what was left out of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shared.chat import Generation
from shared.prompting import leaving_order, told

# Of Korean text, by the tokenizers of the models in BENCHMARKS.md: between 0.4 and 0.8. Too many is the safer guess.
_TOKENS_A_CHARACTER = 0.8


@dataclass(frozen=True, slots=True)
class Gauge:
    """In tokens. `is_measured`: a worker counted them, for the last answer."""

    used: int
    context: int
    is_measured: bool

    @property
    def percent(self) -> int:
        return min(100, math.ceil(100 * self.used / self.context))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the last ended answer was written without, for want of room."""

    turn_ids: frozenset[str] = frozenset()
    seen_from: int = 0  # place of the first turn behind them


def gauge_of(turns: Sequence[Generation], context: int | None) -> Gauge | None:
    """Of a branch; None if it has no answer yet, or nobody tells how much is read at once."""
    before = told(turns)
    if not before or not context:
        return None
    last = before[-1]
    if last.prompt_tokens:
        return Gauge(min(last.prompt_tokens + last.answer_tokens, context), context, is_measured=True)
    characters = sum(len(turn.question) + len(turn.answer) for turn in before)
    return Gauge(min(round(characters * _TOKENS_A_CHARACTER), context), context, is_measured=False)


def left_out(turns: Sequence[Generation]) -> LeftOut:
    """Of a branch."""
    last = max((place for place, turn in enumerate(turns) if turn.prompt_tokens), default=None)
    if last is None or not turns[last].left_out:
        return LeftOut()
    gone = leaving_order(told(turns[:last]), turns[last].pins)[: turns[last].left_out]
    ids = frozenset(turn.id for turn in gone)
    return LeftOut(ids, 1 + max(place for place, turn in enumerate(turns) if turn.id in ids))
