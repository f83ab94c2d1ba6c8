"""The arithmetic of the engine's bench: samples to ratios. Nothing here measures.

A round is one turn of every way over the same prompts. A ratio compares the two ways within a round, and the figure is
the median over the rounds, so that what slows a whole round down slows both.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

OURS = "ours"
EXACT_GAP = 1e-4  # logits; where the two likeliest tokens are nearer than this, rounding may choose


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one way."""

    seconds: float
    cpu_s: float  # of the process that computes
    all_cpu_s: float  # of all its processes, and for ours of the bench, which is its front end
    waited_s: float  # of the process that computes, for its core, which somebody else had
    tokens: int  # new ones

    @property
    def speed(self) -> float:
        return self.tokens / self.seconds


@dataclass(frozen=True, slots=True)
class Run:
    """All rounds of one way over one load. `equal`: answers that are those of static batching, of `answers`."""

    model: str
    dtype: str
    prompt: int
    new: int
    batch: int
    way: str
    seed: int
    commit: str
    samples: list[Sample]
    answers: int = 0
    equal: int = 0

    @property
    def load(self) -> tuple[str, str, int, int]:
        return self.model, self.dtype, self.prompt, self.batch

    def told(self) -> dict[str, Any]:
        return asdict(self) | {
            "tokens_per_s": statistics.median(sample.speed for sample in self.samples),
            "tokens_per_cpu_s": statistics.median(sample.tokens / sample.cpu_s for sample in self.samples),
        }


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where an answer first differs from the one of static batching."""

    prompt: int
    batch: int
    at: int
    gap: float  # logits between the two likeliest tokens there


@dataclass(slots=True)
class Equality:
    """How many of our answers are those of static batching."""

    answers: int = 0
    tokens: int = 0
    divergences: list[Divergence] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        gaps = [divergence.gap for divergence in self.divergences]
        return {
            "answers": self.answers,
            "equal": self.answers - len(self.divergences),
            "tokens_compared": self.tokens,
            "largest_gap": max(gaps, default=None),
            "only_ties_differ": all(gap < EXACT_GAP for gap in gaps) if self.answers else None,
            "divergences": [asdict(divergence) for divergence in self.divergences],
        }


def first_difference(left: Sequence[int], right: Sequence[int]) -> int | None:
    """The index of the first token that differs; None: there is none. Raises ValueError if their lengths do."""
    return next((at for at, (a, b) in enumerate(zip(left, right, strict=True)) if a != b), None)


def over(ours: Sequence[Sample], theirs: Sequence[Sample], *, by_cpu: bool = False) -> float:
    """How many times as fast we are: the median over rounds. Raises ValueError if they have not the same rounds."""
    pairs = zip(ours, theirs, strict=True)
    if by_cpu:
        return statistics.median((a.tokens / a.cpu_s) / (b.tokens / b.cpu_s) for a, b in pairs)
    return statistics.median(a.speed / b.speed for a, b in pairs)


def ratios(runs: Sequence[Run], way: str, batches: Sequence[int], *, by_cpu: bool = False) -> dict[str, float | None]:
    """Ours over `way` by batch, of runs of one model, dtype and length; None where one of both is missing."""
    found = {(run.way, run.batch): run.samples for run in runs}
    told: dict[str, float | None] = {}
    for batch in batches:
        ours, theirs = found.get((OURS, batch)), found.get((way, batch))
        told[str(batch)] = over(ours, theirs, by_cpu=by_cpu) if ours and theirs else None
    return told


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What a long prompt does to the answers that run beside it. Seconds between two tokens of an answer."""

    normal: float  # the median before it came
    worst: float  # the longest gap of any answer until the long prompt's first token
    high: float  # 99 % of them were shorter

    @property
    def ratio(self) -> float:
        return self.worst / self.normal


def disturbance(arrivals: Sequence[Sequence[float]], begun: float, first: float) -> Disturbance:
    """Of the moments when the running answers' tokens came. A gap counts as disturbed if any part of it lies between
    `begun`, when the long prompt was submitted, and `first`, when its first token came; as normal if it ended before.

    Raises ValueError if there is none of either.
    """
    gaps = [(a, b) for moments in arrivals for a, b in pairwise(moments)]
    normal = [b - a for a, b in gaps if b <= begun]
    disturbed = sorted(b - a for a, b in gaps if b > begun and a < first)
    if not normal or not disturbed:
        raise ValueError("no gap before, or none beside the long prompt")
    return Disturbance(
        statistics.median(normal), disturbed[-1], disturbed[min(len(disturbed) - 1, round(0.99 * (len(disturbed) - 1)))]
    )
