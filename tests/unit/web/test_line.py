"""Places and forecasts of a line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.store.generations import Rank
from shared.store.workers import WorkerStatus
from web.chat.line import Line


def _worker(slots: int, busy: int, service_s: float | None = None, tokens: float | None = None) -> WorkerStatus:
    return WorkerStatus("w", "chat.test", "test", "0", slots, busy, service_s, tokens, datetime.now(UTC))


def _line(waiting: int, *workers: WorkerStatus) -> Line:
    return Line([Rank(0, float(tag), str(tag)) for tag in range(waiting)], list(workers))


def test_place_counts_who_is_claimed_before() -> None:
    line = _line(3, _worker(1, 1))

    assert line.place(Rank(0, 1.0, "1")).ahead == 1
    assert line.place(Rank(0, 1.0, "0")).ahead == 1
    assert line.place(Rank(0, 9.0, "new")).ahead == 3
    assert line.place(Rank(1, 0.0, "bulk")).ahead == 3


def test_who_meets_a_free_slot_does_not_wait() -> None:
    assert _line(0, _worker(2, 1)).wait_s(0) == 0.0
    assert _line(2, _worker(4, 1, 10.0)).wait_s(2) == 0.0


def test_wait_is_how_long_the_answers_before_take_all_workers_together() -> None:
    line = _line(8, _worker(4, 4, 8.0), _worker(2, 2, 4.0))

    assert line.ended_per_s == 1.0
    assert line.wait_s(0) == 1.0
    assert line.wait_s(7) == 8.0


def test_nothing_is_forecast_before_anything_was_measured() -> None:
    assert _line(1, _worker(1, 1)).wait_s(0) is None
    assert _line(1).place(Rank(0, 0.0, "0")).wait_s is None
    assert not _line(1).place(Rank(0, 0.0, "0")).has_worker


def test_answers_take_what_they_take_in_the_mean_of_the_workers_that_know() -> None:
    assert _line(0, _worker(1, 0, 1.0, 100.0), _worker(1, 0, 1.0, 200.0), _worker(1, 0)).answer_tokens == 150.0
    assert _line(0).answer_tokens is None


@pytest.mark.parametrize(("worker_id", "expected"), [("w", True), ("other", False), (None, False)])
def test_only_living_workers_work(worker_id: str | None, expected: bool) -> None:
    assert _line(0, _worker(1, 1)).is_working(worker_id) is expected
