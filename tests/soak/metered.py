"""`python -m tests.soak.metered web|worker [...]`: that `nunmal` command, and what its instrumentation costs.

Every call into the instruments is timed in the CPU time of its thread: of prometheus_client (`inc`, `set`, `observe`,
`labels`), of the two classes that a worker calls for each token and step, and the writing of what Prometheus scrapes. A
call inside another is counted once. What the clock itself takes is taken off: at one of eight calls nothing is timed
instead, in the same moment, because a clock costs more in a process that has just woken than in a loop. Not counted:
the task that watches the event loop, and what instruments displace from the caches. The total is told on the metrics'
port as soak_instrumentation_seconds.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar
from unittest.mock import patch

from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from infra.cli import main
from workers import engine_metrics
from workers.answer_metrics import AnswerMetrics
from workers.engine_metrics import EngineMetrics

NAME = "soak_instrumentation_seconds"
_OWN_EVERY = 8  # calls

R = TypeVar("R")


class Meter:
    """Adds up the CPU time of the functions that it was given."""

    def __init__(self) -> None:
        self._here = threading.local()
        self._lock = threading.Lock()
        self._calls = 0
        self._spent_ns: list[int] = [0, 0]  # of timed calls, and how many they are
        self._own_ns: list[int] = [0, 0]  # the same of nothing

    @property
    def seconds(self) -> float:
        (spent, timed), (own, of) = self._spent_ns, self._own_ns
        return max(0.0, spent - timed * own / max(1, of)) * self._calls / max(1, timed) / 1e9

    def timed(self, function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> R:
            if getattr(self._here, "is_inside", False):
                return function(*arguments, **named)
            self._here.is_inside = True
            begun = time.thread_time_ns()
            try:
                if self._calls % _OWN_EVERY:
                    return function(*arguments, **named)
                self._add(self._own_ns, begun)
                begun = 0
                return function(*arguments, **named)
            finally:
                self._here.is_inside = False
                if begun:
                    self._add(self._spent_ns, begun)
                with self._lock:
                    self._calls += 1

        return call

    def _add(self, sums: list[int], begun: int) -> None:
        spent = time.thread_time_ns() - begun
        with self._lock:
            sums[0] += spent
            sums[1] += 1


def _measure(meter: Meter) -> None:
    of_classes = {
        MetricWrapperBase: ("labels",),
        Counter: ("inc",),
        Gauge: ("inc", "dec", "set"),
        Histogram: ("observe",),
        AnswerMetrics: ("__init__", "submitted", "token", "ended"),
        EngineMetrics: ("step",),
    }
    for owner, names in of_classes.items():
        for name in names:
            patch.object(owner, name, meter.timed(getattr(owner, name))).start()
    patch.object(engine_metrics, "stands", meter.timed(engine_metrics.stands)).start()
    patch("shared.side_door.generate_latest", meter.timed(generate_latest)).start()


if __name__ == "__main__":
    _told = Gauge(NAME, "CPU time of the instruments.")
    _meter = Meter()
    _told.set_function(lambda: _meter.seconds)
    _measure(_meter)
    patch("workers.engine.process_engine.MODULE", "tests.chaos.paced_engine").start()
    main()
