"""How often one version wins over another, as people who did not know them said.

Every person has one voice, however often they compared: the mean of what they chose (1 for a win, 1/2 for a tie, and
both bad is a tie). The win rate is the mean of these, with Wilson's score interval (E. B. Wilson, JASA 22,
1927) with as many trials as people. A person's mean lies between 0 and 1, so it varies no more than one yes or no with
the same mean, and the interval is at least as wide as it has to be.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from shared.comparisons import Choice, Comparison

_Z = 1.959964  # of 95 %


@dataclass(frozen=True, slots=True)
class WinRate:
    """Of `one` over `other` (None: the model alone); rate and bounds from 0 to 1."""

    one: str | None
    other: str | None
    wins: int
    losses: int
    same: int
    bad: int
    people: int
    rate: float
    low: float
    high: float

    @property
    def votes(self) -> int:
        return self.wins + self.losses + self.same + self.bad


def win_rates(comparisons: Iterable[Comparison]) -> list[WinRate]:
    """One for every two versions that were compared, by name. Those without a choice are passed over."""
    pairs: dict[tuple[str, str], list[Comparison]] = defaultdict(list)
    for each in comparisons:
        if each.choice is not None:
            pairs[_name(each)].append(each)
    return [_rate(one or None, other or None, rows) for (one, other), rows in sorted(pairs.items())]


def wilson(rate: float, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share that was seen in so many trials, at least one."""
    spread = _Z * _Z / trials
    middle = (rate + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(rate * (1 - rate) / trials + spread / (4 * trials)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def _name(comparison: Comparison) -> tuple[str, str]:
    """The later name first, so that a version stands before the model alone."""
    one, other = sorted((comparison.left or "", comparison.right or ""), reverse=True)
    return one, other


def _rate(one: str | None, other: str | None, rows: list[Comparison]) -> WinRate:
    told = Counter(_outcome(row, one) for row in rows)
    voices: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        voices[row.user_id].append({"win": 1.0, "loss": 0.0}.get(_outcome(row, one), 0.5))
    rate = fmean(fmean(voice) for voice in voices.values())
    low, high = wilson(rate, len(voices))
    return WinRate(one, other, told["win"], told["loss"], told["same"], told["bad"], len(voices), rate, low, high)


def _outcome(row: Comparison, one: str | None) -> str:
    """For `one`: win, loss, same or bad."""
    if row.choice in (Choice.LEFT, Choice.RIGHT):
        chosen = row.left if row.choice is Choice.LEFT else row.right
        return "win" if chosen == one else "loss"
    return str(row.choice)
