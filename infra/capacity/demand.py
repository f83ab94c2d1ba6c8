"""What people ask: how many, when, and how long. Arrivals are a Poisson process whose rate follows the hours of a day.

Nothing of it was measured with people. A log of one's own day replaces every number here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.errors import ConfigError

# An assumption: little at night, a rise in the morning, most in the evening. Only the proportions count.
DAY = (5, 3, 2, 2, 2, 3, 5, 8, 12, 15, 16, 16, 15, 16, 17, 17, 16, 16, 17, 19, 21, 22, 18, 11)
MOST_QUESTIONS = 2_000_000  # more take longer than anybody waits
_Z95 = 1.6448536269514722  # standard deviations of a normal distribution below which 95 % lie


@dataclass(frozen=True, slots=True)
class Question:
    """Asked `asked_s` after the window's beginning. `prompt_tokens`: those that no earlier turn has left computed."""

    asked_s: float
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """Log-normal, in tokens: half are at most `median`, 95 % at most `p95`. Raises ConfigError."""

    median: float
    p95: float

    def __post_init__(self) -> None:
        if not 1 <= self.median <= self.p95 <= 1_000_000:
            raise ConfigError(f"lengths must be 1 <= median <= p95 <= 1,000,000, not {self.median} and {self.p95}")

    @property
    def mean(self) -> float:
        return self.median * math.exp(self._sigma**2 / 2)

    @property
    def _sigma(self) -> float:
        return math.log(self.p95 / self.median) / _Z95

    def draw(self, count: int, chance: np.random.Generator) -> list[int]:
        drawn = self.median * np.exp(self._sigma * chance.standard_normal(count))
        return [max(1, round(each)) for each in drawn.tolist()]


@dataclass(frozen=True, slots=True)
class Demand:
    """`questions_per_hour`: of one person, on the average of a whole day. Raises ConfigError."""

    users: int
    questions_per_hour: float
    prompt: Lengths
    answer: Lengths
    day: Sequence[float] = DAY  # 24 weights, from midnight

    def __post_init__(self) -> None:
        if self.users < 1:
            raise ConfigError(f"there must be at least one user, not {self.users}")
        if not 0 < self.questions_per_hour <= 3600:
            raise ConfigError(f"questions per hour must be above 0 and at most 3600, not {self.questions_per_hour}")
        if len(self.day) != 24 or min(self.day) < 0 or not 0 < sum(self.day) < math.inf:
            raise ConfigError("a day is 24 weights, none below 0 and not all 0")

    @property
    def busiest_hour(self) -> int:
        return max(range(24), key=lambda hour: self.day[hour])

    def per_second(self, hour: float) -> float:
        """Questions a second at this time of day; in a straight line between the middles of two hours."""
        mean = self.users * self.questions_per_hour / 3600
        middles = [number - 0.5 for number in range(26)]
        weights = [self.day[-1], *self.day, self.day[0]]
        return mean * 24 * float(np.interp(hour % 24, middles, weights)) / sum(self.day)

    def questions(self, seed: int, minutes: float, begin_hour: float | None = None) -> list[Question]:
        """Of a window, in order; around the middle of the busiest hour if nothing else is said. Raises ConfigError if
        they are too many."""
        if not 0 < minutes <= 1440:
            raise ConfigError(f"a window has more than 0 and at most 1440 minutes, not {minutes}")
        begin = self.busiest_hour + 0.5 - minutes / 120 if begin_hour is None else begin_hour
        seconds = 60 * minutes
        ceiling = max(self.per_second(begin + part * minutes / 60 / 96) for part in range(97))
        if ceiling * seconds > MOST_QUESTIONS:
            raise ConfigError(
                f"{ceiling * seconds:,.0f} questions are too many to simulate; take a shorter window or fewer users"
            )
        chance = np.random.default_rng(seed)
        times = np.sort(chance.uniform(0, seconds, chance.poisson(ceiling * seconds)))
        rates = np.array([self.per_second(begin + at / 3600) for at in times.tolist()])
        times = times[chance.uniform(0, ceiling, len(times)) < rates]  # thinning (Lewis and Shedler 1979)
        prompts, answers = self.prompt.draw(len(times), chance), self.answer.draw(len(times), chance)
        return [Question(*each) for each in zip(times.tolist(), prompts, answers, strict=True)]
