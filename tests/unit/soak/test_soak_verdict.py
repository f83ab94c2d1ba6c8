"""The verdict of `make soak` must see a leak, a lost answer, open files and dear instruments, and nothing else."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import pytest

from tests.soak.metered import Meter
from tests.soak.trend import ends, p99_drift, percent_per_hour, theil_sen
from tests.soak.verdict import Found, found
from tests.soak.watch import Course

SECONDS = [float(second) for second in range(300, 900, 5)]
STEADY = [(at, 0.5) for at in SECONDS]


def course(
    *,
    leak_kib_per_hour: float = 0.0,
    files: Sequence[float] | None = None,
    tasks: Sequence[float] | None = None,
    instruments: float = 0.001,
) -> Course:
    """Of a process of 100 MB whose memory goes up and down; `instruments`: share of its CPU time."""
    chance = random.Random(1)
    count = len(SECONDS)
    rss = [100_000 + chance.gauss(0, 300) + leak_kib_per_hour * at / 3600 for at in SECONDS]
    cpu = [at * 0.2 for at in SECONDS]
    flat = [20.0] * count
    return Course(
        SECONDS, rss, list(files or flat), list(tasks or flat), cpu, [s * instruments for s in cpu], [0.0] * count
    )


def verdict(one: Course, *, hours: float = 0.25, lost: int = 0, ttfts: Sequence[tuple[float, float]] = STEADY) -> Found:
    return found(hours, {"web-1": one, "worker-1": course()}, ttfts, lost)


def test_a_steady_run_has_no_faults() -> None:
    assert verdict(course()).faults == []


def test_a_leak_is_found_in_the_process_that_has_it() -> None:
    told = verdict(course(leak_kib_per_hour=15_000))
    assert told.rss_slope_pct_per_hour["web-1"] == pytest.approx(15, abs=2)
    assert [fault.partition(":")[0] for fault in told.faults] == ["web-1"]


def test_the_long_form_is_stricter() -> None:
    assert verdict(course(leak_kib_per_hour=5_000)).faults == []
    assert verdict(course(leak_kib_per_hour=5_000), hours=2.0).faults


def test_a_lost_answer_is_found() -> None:
    assert verdict(course(), lost=1).faults == ["1 answers were lost"]


def test_files_and_tasks_that_pile_up_are_found() -> None:
    growing = [20 + number / 4 for number in range(len(SECONDS))]
    assert "open files" in verdict(course(files=growing)).faults[0]
    assert "tasks" in verdict(course(tasks=growing)).faults[0]


def test_a_process_without_an_event_loop_has_no_tasks() -> None:
    assert "web-1" not in verdict(course(tasks=[0.0] * len(SECONDS))).tasks


def test_dear_instruments_are_found() -> None:
    told = verdict(course(instruments=0.05))
    assert told.metrics_cost == pytest.approx(0.0255)  # of two processes, one has dear ones
    assert told.faults == ["instruments take 2.55% of the CPU"]


def test_a_slope_is_that_of_the_line_whatever_a_quarter_of_the_values_are() -> None:
    chance = random.Random(3)
    values = [7 + 2 * at for at in SECONDS]
    for place in chance.sample(range(len(values)), len(values) // 4):
        values[place] = chance.uniform(-1e6, 1e6)
    assert theil_sen(SECONDS, values) == pytest.approx(2, rel=0.1)
    assert theil_sen([0, 1, 2], [5, 5, 5]) == 0


def test_percent_per_hour_is_relative_to_the_median() -> None:
    assert percent_per_hour([0, 1800, 3600], [95, 100, 105]) == pytest.approx(10)


def test_a_slope_needs_two_different_times() -> None:
    with pytest.raises(ValueError, match="two different times"):
        theil_sen([4, 4], [1, 2])


def test_drift_compares_the_later_half_with_the_earlier_one_in_time() -> None:
    times = list(range(200))
    slower = [1.0] * 100 + [1.5] * 100
    assert p99_drift(times, slower) == pytest.approx(0.5)
    assert p99_drift(times[::-1], slower[::-1]) == pytest.approx(0.5)
    assert p99_drift(times, [1.0] * 200) == 0


def test_ends_are_medians_of_the_first_and_the_last_quarter() -> None:
    assert ends([1, 1, 9, 1, 5, 5, 2, 3, 2, 3, 3, 3]) == (1, 3)


def test_since_leaves_out_the_warm_up() -> None:
    assert course().since(600).seconds[0] == 600
    assert len(course().since(600).rss_kib) == len(course().since(600).seconds) == 60


def test_the_meter_counts_the_cpu_of_timed_calls_once_and_not_its_own() -> None:
    meter = Meter()

    def work() -> int:
        begun = time.thread_time()
        rounds = 0
        while time.thread_time() - begun < 0.002:
            rounds += 1
        return rounds

    inner = meter.timed(work)
    outer = meter.timed(lambda: inner() + inner())
    for _ in range(40):
        assert outer() > 0
    assert meter.seconds == pytest.approx(0.16, rel=0.1)  # CPU time: others on the machine do not count
    idle = Meter()
    nothing = idle.timed(lambda: None)
    for _ in range(1000):
        nothing()
    assert idle.seconds < 0.002
