from __future__ import annotations

import statistics
from dataclasses import dataclass

from workers.engine.block_pool import BlockPool
from workers.engine.pace import Pace
from workers.engine.scheduler import Scheduler


def measured(pace: Pace, *, step_s: float, token_s: float, rows: int = 8) -> Pace:
    for _ in range(40):
        pace.took(step_s, rows, 0)
        pace.took(step_s + 100 * token_s, rows, 100)
    return pace


def test_with_nobody_waiting_prompts_get_the_whole_step() -> None:
    assert measured(Pace(512), step_s=0.01, token_s=0.001).budget(rows=0, joining=1) == 512


def test_prompts_take_as_long_as_the_answers_beside_them() -> None:
    assert measured(Pace(512), step_s=0.0101, token_s=0.0001).budget(rows=8, joining=1) in range(99, 103)


def test_where_prompts_cost_nothing_the_limit_holds() -> None:
    assert measured(Pace(512), step_s=0.01, token_s=0.000_001).budget(rows=8, joining=1) == 512


def test_a_prompt_always_gets_on() -> None:
    assert measured(Pace(512), step_s=0.001, token_s=0.1, rows=2).budget(rows=2, joining=1) == 16


def test_the_nearest_number_of_rows_is_taken_for_those_never_measured() -> None:
    pace = measured(Pace(512), step_s=0.0101, token_s=0.0001, rows=2)

    assert measured(pace, step_s=0.0301, token_s=0.0001, rows=63).budget(rows=63, joining=1) in range(290, 303)


def test_before_anything_is_measured_it_is_careful() -> None:
    assert Pace(512).budget(rows=1, joining=1) == 64


def test_a_step_of_answers_alone_is_measured_first_and_then_now_and_again() -> None:
    pace = Pace(512)
    pace.took(0.0512, 0, 512)
    assert pace.budget(rows=8, joining=1) == 0

    pace.took(0.02, 8, 0)
    assert pace.budget(rows=8, joining=1) in range(195, 205)
    assert pace.budget(rows=16, joining=1) == 0
    budgets = []
    for _ in range(300):
        budgets.append(pace.budget(rows=8, joining=1))
        pace.took(0.02 + 0.0001 * budgets[-1], 8, budgets[-1])
    assert budgets.count(0) == 2


def test_where_many_come_at_once_they_may_take_twice_the_step_that_they_will_make() -> None:
    pace = measured(Pace(512), step_s=0.0505, token_s=0.0005, rows=8)
    measured(pace, step_s=0.1255, token_s=0.0005, rows=64)

    assert pace.budget(rows=8, joining=1) in range(98, 103)
    assert pace.budget(rows=8, joining=56) in range(395, 405)


def test_where_steps_are_short_those_who_wait_have_their_share_of_a_tenth_of_a_second() -> None:
    pace = measured(measured(Pace(512), step_s=0.0031, token_s=0.0002, rows=1), step_s=0.0101, token_s=0.0002, rows=16)

    assert pace.budget(rows=1, joining=15) in range(450, 456)  # 93.75 ms, less a step
    assert pace.budget(rows=1, joining=1) in range(232, 237)  # 50 ms
    assert pace.budget(rows=16, joining=16) in range(197, 202)
    assert pace.budget(rows=16, joining=1) in range(49, 53)  # as long as the answers


def test_many_long_prompts_at_once_are_read_while_the_first_answers_are_young() -> None:
    steps = simulated([512] * 16, new=64)

    alone = sum(step_of(0, [(0, 512)]) for _ in range(16)) + 64 * step_of(16, [])
    assert sum(step.seconds for step in steps) < 1.35 * alone
    assert max(step.rows for step in steps) >= 15
    assert max(step.seconds for step in steps if step.rows) < 0.11


def test_a_long_prompt_beside_many_answers_hardly_more_than_doubles_their_steps() -> None:
    steps = simulated([32] * 16 + [1500], new=64)

    beside = [step.seconds for step in steps if step.rows == 16 and step.prompt_tokens]
    assert len(beside) > 5
    assert statistics.median(beside) < 2.3 * step_of(16, [])
    assert max(beside) < 3 * step_of(16, [])  # what 16 tokens, the fewest, cost at the prompt's end


@dataclass(frozen=True)
class Step:
    seconds: float
    rows: int
    prompt_tokens: int


def step_of(rows: int, pieces: list[tuple[int, int]]) -> float:
    """Seconds, as the reference model takes on one core with so many answers and pieces of prompts [start, stop)."""
    reading = sum(2.0 + 0.0045 * start + (stop - start) * (0.14 + 0.00008 * start) for start, stop in pieces)
    return (2.5 + 0.33 * rows + reading) / 1000


def simulated(prompts: list[int], new: int) -> list[Step]:
    """Prompts of these lengths that come at once, each answered with `new` tokens."""
    scheduler, pace, steps = Scheduler(BlockPool(1000, 32), slots=64), Pace(512), []
    tokens = {str(number): [number] * length for number, length in enumerate(prompts)}
    for request_id, prompt in tokens.items():
        scheduler.add(request_id, prompt)
    while scheduler.running or scheduler.waiting:
        pieces = scheduler.plan(pace.budget(scheduler.decoding, scheduler.joining))
        reading = [(piece.start, piece.stop) for piece in pieces if not piece.is_decoding]
        rows = len(pieces) - len(reading)
        step = Step(step_of(rows, reading), rows, sum(stop - start for start, stop in reading))
        scheduler.advance(pieces)
        for piece in pieces:
            if piece.is_last:
                tokens[piece.request_id].append(0)
                if len(tokens[piece.request_id]) == prompts[int(piece.request_id)] + new:
                    scheduler.remove(piece.request_id)
        pace.took(step.seconds, step.rows, step.prompt_tokens)
        steps.append(step)
    return steps
