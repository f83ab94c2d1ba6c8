"""How fast one worker is: a file of step times, measured (`python -m tests.bench.capacity_profile`) or assumed.

A step is one forward pass of the engine: a token for every running answer, and pieces of prompts beside them. Its time
is looked up between the points of the file, in a straight line, and beyond them along the last one. Memory for keys and
values, and that longer contexts make steps longer, are not in it: `context` says at which length the steps were taken.
"""

from __future__ import annotations

import bisect
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import ConfigError

PROFILES = Path(__file__).parent / "profiles"

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


_Points = tuple[list[int], list[float]]


class Step(BaseModel):
    """A step that reads no prompt, of so many running answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rows: Count
    seconds: Seconds


class Reading(BaseModel):
    """A prompt of so many tokens, read by a worker that does nothing else, to its first token."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tokens: Count
    seconds: Seconds


class Profile(BaseModel):
    """Points are in ascending order, and none is quicker than the one before."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["measured", "assumed"]
    model: str
    device: str
    date: str
    source: str  # what was measured how, or what the assumptions rest on
    slots: Count  # answers a worker writes at once
    most_prompt_tokens: Count  # of one step in which no answer runs
    context: Count  # tokens of each running answer when the steps were taken
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    prompts: Annotated[tuple[Reading, ...], Field(min_length=2)]
    overhead_s: Annotated[float, Field(ge=0, le=60)]  # of a first text: everything that is not the engine

    @model_validator(mode="after")
    def _is_monotone(self) -> Self:
        pairs = ([(each.rows, each.seconds) for each in self.steps], [(p.tokens, p.seconds) for p in self.prompts])
        for points in pairs:
            for (size, seconds), (next_size, next_seconds) in pairwise(points):
                if next_size <= size or next_seconds < seconds:
                    raise ValueError(f"{next_size} must follow {size} and take at least as long")
        if self.token_s <= 0:
            raise ValueError("a longer prompt must take longer than a shorter one")
        return self

    @cached_property
    def _step_points(self) -> _Points:
        return [each.rows for each in self.steps], [each.seconds for each in self.steps]

    @cached_property
    def _prompt_points(self) -> _Points:
        return [each.tokens for each in self.prompts], [each.seconds for each in self.prompts]

    @cached_property
    def token_s(self) -> float:
        """Seconds of one more token of a long prompt."""
        first, last = self.prompts[0], self.prompts[-1]
        return (last.seconds - first.seconds) / (last.tokens - first.tokens)

    def step_s(self, rows: int) -> float:
        """Seconds of a step of so many running answers that reads no prompt."""
        return _between(rows, *self._step_points)

    def prompt_s(self, tokens: int) -> float:
        """Seconds to read so many tokens with nothing beside them."""
        return _between(tokens, *self._prompt_points)

    def mixed_s(self, rows: int, tokens: int) -> float:
        """Seconds of a step of running answers that reads tokens of prompts too. What any step costs (weights are read
        once) is paid once."""
        if rows == 0:
            return self.prompt_s(tokens)
        return self.step_s(rows) + max(0.0, self.prompt_s(tokens) - self.step_s(1))

    @property
    def most_tokens_per_s(self) -> float:
        """What a worker writes when all slots are taken and no prompt is read."""
        return self.slots / self.step_s(self.slots)


def load_profile(name: str) -> Profile:
    """By its name in infra/capacity/profiles, or by a path. Raises ConfigError, which says what is wrong with it."""
    path = Path(name) if name.endswith(".json") else PROFILES / f"{name}.json"
    try:
        return Profile.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(each.stem for each in PROFILES.glob("*.json")))
        raise ConfigError(f"there is no profile {name}; there are {known}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ConfigError(f"the profile {name} cannot be used: {place}: {first['msg']}") from error


def _between(size: int, sizes: list[int], seconds: list[float]) -> float:
    """Asked at every step of a simulation. Below the first point it is the first one's."""
    if size <= sizes[0] or len(sizes) == 1:
        return seconds[0]
    after = min(bisect.bisect_left(sizes, size), len(sizes) - 1)
    slope = (seconds[after] - seconds[after - 1]) / (sizes[after] - sizes[after - 1])
    return seconds[after] + slope * (size - sizes[after])
