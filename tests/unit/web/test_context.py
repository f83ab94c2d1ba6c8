"""How full the context is, and which turns were left out of it."""

from __future__ import annotations

from typing import Any

from shared.chat import Generation, GenerationState
from tests.factories import generation
from web.chat.context import Gauge, LeftOut, gauge_of, left_out


def _turn(**changes: Any) -> Generation:
    return generation(**({"state": GenerationState.DONE, "question": "가" * 10, "answer": "나" * 10} | changes))


def test_it_is_measured_where_a_worker_has_counted() -> None:
    turns = [_turn(prompt_tokens=50, answer_tokens=9), _turn(prompt_tokens=100, answer_tokens=28)]

    assert gauge_of(turns, 1000) == Gauge(128, 1000, is_measured=True)
    assert gauge_of(turns, 100) == Gauge(100, 100, is_measured=True)


def test_it_is_estimated_where_nobody_has() -> None:
    assert gauge_of([_turn()], 100) == Gauge(16, 100, is_measured=False)


def test_without_an_answer_or_a_worker_there_is_none() -> None:
    assert gauge_of([_turn(state=GenerationState.QUEUED, answer="")], 100) is None
    assert gauge_of([_turn()], None) is None


def test_the_oldest_are_left_out_and_pins_are_not() -> None:
    turns = [_turn(), _turn(), _turn(), _turn()]
    last = _turn(prompt_tokens=90, left_out=2, pins=(turns[0].id,))
    unanswered = _turn(state=GenerationState.RUNNING, answer="")

    assert left_out([*turns, last, unanswered]) == LeftOut(frozenset({turns[1].id, turns[2].id}), 3)


def test_nothing_was_left_out_of_what_fits() -> None:
    assert left_out([]) == left_out([_turn(), _turn(prompt_tokens=9)]) == LeftOut()
