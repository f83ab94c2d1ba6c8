"""Who is started again, when, and who ends with whom: the fleet's policy with workers that are futures."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import AsyncIterator, Callable

import pytest

from infra.fleet import Backoff, Fleet
from shared.errors import ConfigError

OVERDUE_S = 30.0


class FakeWorker:
    """Ready at once; ends when the test says so, or by a signal it obeys."""

    def __init__(self, pid: int, obeys: set[signal.Signals], is_ready: bool = True) -> None:
        self.pid = pid
        self.signals: list[signal.Signals] = []
        self.is_signalled = asyncio.Event()
        self._obeys = obeys
        self._is_ready = is_ready
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(self, code: int) -> None:
        self._code.set_result(code)

    async def ready(self) -> bool:
        return self._is_ready

    async def wait(self) -> int:
        return await self._code

    def send_signal(self, number: signal.Signals) -> None:
        if self._code.done():
            return
        self.signals.append(number)
        self.is_signalled.set()
        if number in self._obeys:
            self.end(0 if number is signal.SIGTERM else -number)


class Scene:
    """A fleet that runs, and all workers it started, in order."""

    def __init__(self, size: int) -> None:
        self.started: list[tuple[int, FakeWorker]] = []
        self.stop = asyncio.Event()
        self.obeys = {signal.SIGTERM, signal.SIGKILL}
        self.readiness: Callable[[int], bool] = lambda number: True
        self.failures: list[OSError] = []  # of the next starts
        self._news = asyncio.Event()
        names = [f"number {number}" for number in range(size)]
        self.fleet = Fleet(names, self._start, backoff=lambda: Backoff(first_s=0.0))

    async def _start(self, number: int) -> FakeWorker:
        if self.failures:
            raise self.failures.pop()
        worker = FakeWorker(1000 + len(self.started), self.obeys, self.readiness(number))
        self.started.append((number, worker))
        self._news.set()
        return worker

    async def has_started(self, count: int) -> list[tuple[int, FakeWorker]]:
        async with asyncio.timeout(5):
            while len(self.started) < count:
                self._news.clear()
                await self._news.wait()
        return self.started

    def run(self, overdue_s: float = OVERDUE_S) -> asyncio.Task[None]:
        return asyncio.create_task(self.fleet.run(self.stop, overdue_s))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene(2)
    yield scene
    scene.stop.set()


async def ended(running: asyncio.Task[None]) -> None:
    async with asyncio.timeout(5):
        await running


class TestBackoff:
    def test_doubles_up_to_its_longest(self) -> None:
        backoff = Backoff()

        assert [backoff.after(1) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]

    def test_begins_anew_after_a_healthy_life(self) -> None:
        backoff = Backoff()
        waits = [backoff.after(lived_s) for lived_s in (1, 1, 1, 60, 1)]

        assert waits == [0.5, 1, 2, 0.5, 1]


@pytest.mark.parametrize("code", [-signal.SIGKILL, 1, 0])
async def test_a_worker_that_ends_unexpectedly_is_started_again(
    scene: Scene, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    running = scene.run()
    (_, first), (_, second) = await scene.has_started(2)
    second.end(code)

    number, _ = (await scene.has_started(3))[2]

    assert number == 1
    assert first.signals == []
    scene.stop.set()
    await ended(running)
    lines = capsys.readouterr().err.splitlines()
    reason = "killed by SIGKILL" if code < 0 else f"exit code {code}"
    assert lines == [
        "nunmal: started the worker number 0 (process 1000)",
        "nunmal: started the worker number 1 (process 1001)",
        f"nunmal: the worker number 1 is gone ({reason}); starting it again in 0 s",
        "nunmal: restarted the worker number 1 (process 1002)",
    ]


async def test_a_worker_that_cannot_be_started_now_is_tried_again(scene: Scene) -> None:
    scene.failures = [OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))]
    running = scene.run()

    assert sorted(number for number, _ in await scene.has_started(2)) == [0, 1]
    scene.stop.set()
    await ended(running)


async def test_wrong_set_up_ends_the_others_in_order_and_says_so(scene: Scene) -> None:
    running = scene.run()
    (_, first), (_, second) = await scene.has_started(2)
    second.end(2)

    with pytest.raises(ConfigError, match="the worker number 1 cannot"):
        await ended(running)

    assert first.signals == [signal.SIGTERM]
    assert len(scene.started) == 2


async def test_stop_waits_for_everybody_and_starts_nobody(scene: Scene) -> None:
    scene.obeys = set()
    running = scene.run()
    workers = [worker for _, worker in await scene.has_started(2)]
    scene.stop.set()
    for worker in workers:
        await worker.is_signalled.wait()
    workers[0].end(0)
    await asyncio.sleep(0)
    assert not running.done()
    workers[1].end(1)
    await ended(running)

    assert [worker.signals for worker in workers] == [[signal.SIGTERM]] * 2
    assert len(scene.started) == 2


async def test_stop_during_the_wait_before_a_restart_ends_at_once(scene: Scene) -> None:
    is_waiting = asyncio.Event()

    class Long(Backoff):
        def after(self, lived_s: float) -> float:
            is_waiting.set()
            return 600.0

    fleet = Fleet(["number 0"], scene._start, backoff=Long)
    running = asyncio.create_task(fleet.run(scene.stop, OVERDUE_S))
    ((_, worker),) = await scene.has_started(1)
    worker.end(1)
    await is_waiting.wait()
    scene.stop.set()

    await ended(running)


async def test_whoever_is_overdue_is_killed(scene: Scene) -> None:
    scene.obeys = {signal.SIGKILL}
    running = scene.run(overdue_s=0.0)
    workers = [worker for _, worker in await scene.has_started(2)]
    scene.stop.set()
    await ended(running)

    assert [worker.signals for worker in workers] == [[signal.SIGTERM, signal.SIGKILL]] * 2


async def test_ready_when_all_were_ready_once(scene: Scene) -> None:
    scene.readiness = lambda number: number == 0 or len(scene.started) >= 2
    running = scene.run()
    (_, _), (_, second) = await scene.has_started(2)
    assert not scene.fleet.all_ready.is_set()
    second.end(1)
    async with asyncio.timeout(5):
        await scene.fleet.all_ready.wait()

    assert len(scene.started) == 3
    scene.stop.set()
    await ended(running)
