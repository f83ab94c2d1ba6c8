"""How many workers a lane wants."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.store.workers import WorkerStatus
from web.scaling import desired_workers


def worker(slots: int = 10, busy: int = 0, service_s: float | None = 5.0) -> WorkerStatus:
    return WorkerStatus("w", "chat.m", "m", "d", slots, busy, service_s, None, datetime.now(UTC))


def test_one_waits_for_the_first_question() -> None:
    assert desired_workers(0, [], 10.0) == 1
    assert desired_workers(0, [worker(), worker(), worker()], 10.0) == 1


def test_busy_slots_are_kept() -> None:
    assert desired_workers(0, [worker(busy=10), worker(busy=1)], 10.0) == 2


def test_the_waiting_begin_within_the_goal() -> None:
    # 100 wait, an answer takes 5 s, and all are to begin within 10 s: 10 a second, so 50 slots, so 5 workers.
    assert desired_workers(100, [worker()], 10.0) == 5
    assert desired_workers(100, [worker(busy=10)], 10.0) == 6


def test_a_slot_for_everybody_while_nothing_is_measured() -> None:
    assert desired_workers(35, [worker(service_s=None)], 10.0) == 4
    assert desired_workers(3, [], 10.0) == 3


def test_never_more_than_a_slot_for_everybody() -> None:
    assert desired_workers(20, [worker(service_s=500.0)], 10.0) == 2


def test_the_answers_of_a_worker_that_ends_need_another() -> None:
    ending = worker(slots=0, busy=10)
    assert desired_workers(0, [worker(busy=5), ending], 10.0) == 2


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.lists(st.builds(worker, st.integers(1, 64)), max_size=5))
def test_more_who_wait_never_want_fewer(few: int, more: int, workers: list[WorkerStatus]) -> None:
    few, more = sorted((few, more))
    assert desired_workers(few, workers, 10.0) <= desired_workers(more, workers, 10.0)
