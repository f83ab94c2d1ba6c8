"""The simulation against what queueing theory knows in closed form, and against itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from infra.capacity.demand import Question
from infra.capacity.profile import Profile, Reading, Step
from infra.capacity.simulation import Answered, simulate
from shared.errors import ConfigError

STEP_S = 0.01


def profile(slots: int = 1, *, rows: tuple[Step, ...] = (Step(rows=1, seconds=STEP_S),), **changes: float) -> Profile:
    """Of steps that all take 10 ms, and prompts that cost next to nothing."""
    return Profile(
        kind="assumed",
        model="theory",
        device="paper",
        date="2026-11-22",
        source="a test",
        slots=slots,
        most_prompt_tokens=4096,
        context=1,
        steps=rows,
        prompts=(Reading(tokens=1, seconds=STEP_S), Reading(tokens=10_000, seconds=STEP_S + 0.001)),
        overhead_s=changes.get("overhead_s", 0.0),
    )


def poisson(rate: float, count: int, lengths: np.ndarray, seed: int) -> list[Question]:
    times = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count)).tolist()
    return [Question(at, 1, int(length)) for at, length in zip(times, lengths, strict=True)]


def mean_wait_s(answers: list[Answered]) -> float:
    return float(np.mean([answer.waited_s for answer in answers]))


def exponential_lengths(mean: float, count: int, seed: int) -> np.ndarray:
    drawn: np.ndarray = np.maximum(1, np.round(np.random.default_rng(seed).exponential(mean, count)))
    return drawn


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_slot_with_answers_of_one_length_waits_as_an_m_d_1_queue(load: float) -> None:
    service_s, count = 100 * STEP_S, 40_000
    answers = simulate(poisson(load / service_s, count, np.full(count, 100), seed=1), profile(), 1)
    expected = load * service_s / (2 * (1 - load))  # Pollaczek and Khinchine, no variance of service
    assert mean_wait_s(answers) == pytest.approx(expected, rel=0.06)


def test_one_slot_with_exponential_answers_waits_as_an_m_m_1_queue() -> None:
    service_s, load, count = 100 * STEP_S, 0.7, 60_000
    answers = simulate(poisson(load / service_s, count, exponential_lengths(100, count, 5), seed=2), profile(), 1)
    assert mean_wait_s(answers) == pytest.approx(load * service_s / (1 - load), rel=0.08)
    busy_s = sum(answer.ended_s - answer.begun_s for answer in answers)
    assert busy_s / answers[-1].ended_s == pytest.approx(load, rel=0.03)


def test_several_workers_of_one_slot_wait_as_erlang_c_says() -> None:
    service_s, workers, load, count = 100 * STEP_S, 4, 0.8, 60_000
    rate = load * workers / service_s
    answers = simulate(poisson(rate, count, exponential_lengths(100, count, 7), seed=3), profile(), workers)
    offered = load * workers
    all_taken = offered**workers / math.factorial(workers) / (1 - load)
    some_free = sum(offered**number / math.factorial(number) for number in range(workers))
    expected = all_taken / (some_free + all_taken) * service_s / (workers * (1 - load))
    assert mean_wait_s(answers) == pytest.approx(expected, rel=0.1)


def test_answers_that_run_together_share_steps() -> None:
    together = [Question(0.0, 1, 101) for _ in range(8)]
    slow = (Step(rows=1, seconds=0.01), Step(rows=8, seconds=0.02))
    answers = simulate(together, profile(8, rows=slow), 1)
    for answer in answers:  # 100 steps of 8 rows, but for the first one, which began alone
        assert answer.ended_s - answer.first_s == pytest.approx(2.0, rel=0.01)


def test_who_comes_in_mid_answer_joins_after_the_step_under_way() -> None:
    answers = simulate([Question(0.0, 1, 100), Question(0.515, 1, 100)], profile(2), 1)
    assert answers[1].first_s == pytest.approx(0.52 + STEP_S)
    assert answers[1].waited_s == 0.0


def test_a_long_prompt_is_read_in_pieces_beside_running_answers() -> None:
    heavy = profile(2).model_copy(
        update={"prompts": (Reading(tokens=1, seconds=STEP_S), Reading(tokens=1001, seconds=1 + STEP_S))}
    )
    answers = simulate([Question(0.0, 1, 300), Question(0.5, 1000, 10)], heavy, 1)
    alone_s = 1.0
    assert answers[1].ttft_s > alone_s  # others go on meanwhile
    idle = simulate([Question(0.0, 1000, 10)], heavy, 1)
    assert idle[0].ttft_s == pytest.approx(alone_s, rel=0.02)


def test_the_way_outside_the_engine_is_part_of_the_time_to_the_first_text() -> None:
    answers = simulate([Question(0.0, 1, 5)], profile(overhead_s=0.2), 1)
    assert answers[0].ttft_s == pytest.approx(0.2 + STEP_S)


def test_every_question_ends_and_the_line_is_first_come_first_served() -> None:
    questions = poisson(5.0, 500, exponential_lengths(100, 500, 3), seed=4)
    answers = simulate(questions, profile(2), 2)
    assert all(answer.ended_s >= answer.first_s >= answer.begun_s >= answer.question.asked_s for answer in answers)
    begun = [answer.begun_s for answer in answers]
    assert begun == sorted(begun)


def test_the_same_questions_give_the_same_times() -> None:
    questions = poisson(5.0, 500, exponential_lengths(100, 500, 3), seed=4)
    first, second = (simulate(questions, profile(4), 3) for _ in range(2))
    assert [(each.first_s, each.ended_s) for each in first] == [(each.first_s, each.ended_s) for each in second]


def test_more_workers_never_make_it_worse() -> None:
    rows = tuple(Step(rows=number, seconds=0.01 + 0.001 * number) for number in (1, 4, 16))
    questions = poisson(12.0, 3000, exponential_lengths(100, 3000, 6), seed=9)
    means = [
        float(np.mean([answer.ttft_s for answer in simulate(questions, profile(16, rows=rows), workers)]))
        for workers in (1, 2, 3, 4, 6, 10)
    ]
    assert means == sorted(means, reverse=True)
    assert means[0] > 2 * means[-1]


@pytest.mark.parametrize("workers", [0, -1, 100_001])
def test_a_number_of_workers_that_makes_no_sense_is_refused(workers: int) -> None:
    with pytest.raises(ConfigError, match="workers"):
        simulate([Question(0.0, 1, 1)], profile(), workers)
