"""The smallest number of workers with which a demand meets a goal for the time to the first text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infra.capacity.demand import Question
from infra.capacity.profile import Profile
from infra.capacity.simulation import MOST_WORKERS, Answered, simulate
from shared.errors import ConfigError

_COLD = 0.2  # share of the window that is not counted: at its beginning nobody runs yet


@dataclass(frozen=True, slots=True)
class Goal:
    """So many percent of first texts within `ttft_s` seconds. Raises ConfigError."""

    ttft_s: float
    percentile: float

    def __post_init__(self) -> None:
        if not 0 < self.ttft_s <= 86_400:
            raise ConfigError(f"the goal for the first text must be above 0 and at most a day, not {self.ttft_s} s")
        if not 1 <= self.percentile < 100:
            raise ConfigError(f"the percentile must be at least 1 and below 100, not {self.percentile}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What people get of so many workers, after the cold part of the window."""

    workers: int
    questions: int
    ttft_mean_s: float
    ttft_p50_s: float
    ttft_goal_s: float  # at the goal's percentile
    waited_mean_s: float  # for a slot
    tokens_per_s: float  # written by all workers
    token_s: float  # between two tokens of one answer, on the average
    busy: float  # share of slots that are taken
    running: float  # answers at once, on the average


@dataclass(frozen=True, slots=True)
class Plan:
    smallest: Outcome
    tried: list[Outcome]  # by number of workers


def observed(answers: Sequence[Answered], profile: Profile, workers: int, percentile: float) -> Outcome:
    """Raises ConfigError if the window has too few questions to say anything."""
    last_s = answers[-1].question.asked_s if answers else 0.0
    begin_s = _COLD * last_s
    counted = [answer for answer in answers if answer.question.asked_s >= begin_s]
    if len(counted) < 20:
        raise ConfigError(f"{len(counted)} questions are too few to count; take a longer window or more users")
    ttft = np.array([answer.ttft_s for answer in counted])
    held_s = sum(_overlap(answer, begin_s, last_s) for answer in answers)
    tokens = sum(
        answer.question.answer_tokens * _overlap(answer, begin_s, last_s) / (answer.ended_s - answer.begun_s)
        for answer in answers
    )
    between = sum(answer.ended_s - answer.first_s for answer in counted)
    gaps = sum(answer.question.answer_tokens - 1 for answer in counted)
    running = held_s / (last_s - begin_s)
    return Outcome(
        workers,
        len(counted),
        float(ttft.mean()),
        float(np.percentile(ttft, 50)),
        float(np.percentile(ttft, percentile)),
        float(np.mean([answer.waited_s for answer in counted])),
        tokens / (last_s - begin_s),
        between / gaps if gaps else 0.0,
        running / (workers * profile.slots),
        running,
    )


def smallest(questions: Sequence[Question], profile: Profile, goal: Goal) -> Plan:
    """Doubles from the least that could write so many tokens, then halves the gap. Raises ConfigError if no number of
    workers meets the goal."""
    _refuse_impossible(questions, profile, goal)
    tried: dict[int, Outcome] = {}

    def meets(workers: int) -> bool:
        answers = simulate(questions, profile, workers)
        tried[workers] = observed(answers, profile, workers, goal.percentile)
        return tried[workers].ttft_goal_s <= goal.ttft_s

    too_few = _least(questions, profile) - 1
    enough = too_few + 1
    while not meets(enough):
        too_few, enough = enough, enough + max(1, enough // 2)
        if enough > MOST_WORKERS:
            raise ConfigError(f"more than {MOST_WORKERS:,} workers would be needed")
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if meets(middle):
            enough = middle
        else:
            too_few = middle
    return Plan(tried[enough], [tried[workers] for workers in sorted(tried)])


def _overlap(answer: Answered, begin_s: float, end_s: float) -> float:
    """Seconds within the counted part in which it held a slot."""
    return max(0.0, min(answer.ended_s, end_s) - max(answer.begun_s, begin_s))


def _least(questions: Sequence[Question], profile: Profile) -> int:
    """Half of what could write all tokens in time with every slot taken: at least one."""
    if len(questions) < 2:
        return 1
    seconds = questions[-1].asked_s - questions[0].asked_s
    tokens = sum(question.answer_tokens for question in questions)
    return max(1, int(tokens / max(seconds, 1e-9) / profile.most_tokens_per_s / 2))


def _refuse_impossible(questions: Sequence[Question], profile: Profile, goal: Goal) -> None:
    idle = [profile.overhead_s + profile.prompt_s(question.prompt_tokens) for question in questions]
    if idle and (best := float(np.percentile(idle, goal.percentile))) > goal.ttft_s:
        raise ConfigError(
            f"no number of workers gives a first text within {goal.ttft_s:g} s for {goal.percentile:g} % of these "
            f"questions: reading their prompts alone takes {best:.2f} s"
        )
