from __future__ import annotations

from workers.engine.pace import Pace


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
    assert measured(Pace(512), step_s=0.001, token_s=0.1).budget(rows=2, joining=1) == 16


def test_the_nearest_number_of_rows_is_taken_for_those_never_measured() -> None:
    pace = measured(Pace(512), step_s=0.0101, token_s=0.0001, rows=2)

    assert measured(pace, step_s=0.0301, token_s=0.0001, rows=64).budget(rows=33, joining=1) in range(290, 303)


def test_before_anything_is_measured_it_is_careful() -> None:
    assert Pace(512).budget(rows=1, joining=1) == 64


def test_without_a_step_of_its_own_the_rest_of_mixed_ones_is_taken() -> None:
    pace = Pace(512)
    pace.took(0.0512, 0, 512)
    for _ in range(40):
        pace.took(0.0264, 8, 64)

    assert pace.budget(rows=8, joining=1) in range(195, 205)


def test_where_many_come_at_once_they_may_take_twice_the_step_that_they_will_make() -> None:
    pace = measured(Pace(512), step_s=0.0101, token_s=0.0001, rows=8)
    measured(pace, step_s=0.0251, token_s=0.0001, rows=64)

    assert pace.budget(rows=8, joining=1) in range(98, 103)
    assert pace.budget(rows=8, joining=56) in range(395, 405)
