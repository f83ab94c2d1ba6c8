"""`nunmal fleet`: one `nunmal worker` process per GPU (or N on a CPU machine), restarted when one dies.

`Backoff` and `Fleet` are the policy and know nothing of processes. A worker's standard input is a pipe whose other
end the supervisor holds: should the supervisor be killed, the pipe closes, and its workers hand back and end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from infra.gpus import chosen_gpus
from shared.entrypoint import announce_ready, require, say
from shared.errors import ConfigError
from shared.settings import PREFIX, Settings, environment_with
from shared.telemetry import configure_logging

WRONG_SETUP = 2  # a worker's exit code: trying again cannot help
_OVERDUE_S = 6.0  # after its drain a worker ends itself within 4.5 s


@dataclass(slots=True)
class Backoff:
    """How long to wait before a worker is started again; doubles until one has lived for a while."""

    first_s: float = 0.5
    longest_s: float = 30.0
    healthy_s: float = 60.0  # having lived so long, it begins anew
    _next_s: float = field(default=0.0, init=False)

    def after(self, lived_s: float) -> float:
        """Seconds to wait, given how long the worker lived."""
        wait_s = self.first_s if lived_s >= self.healthy_s else max(self.first_s, self._next_s)
        self._next_s = min(2 * wait_s, self.longest_s)
        return wait_s


class Worker(Protocol):
    """A started worker."""

    @property
    def pid(self) -> int: ...

    async def ready(self) -> bool:
        """True once it answers questions; False if it ended before."""
        ...

    async def wait(self) -> int:
        """Its exit code, negative for a signal."""
        ...

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing happens if it has ended."""
        ...


Start = Callable[[int], Awaitable[Worker]]  # by its number in the fleet


class Fleet:
    """Keeps `names` workers running until `stop`; each name says what the worker runs on."""

    def __init__(self, names: Sequence[str], start: Start, *, backoff: Callable[[], Backoff] = Backoff) -> None:
        self._names = names
        self._start = start
        self._backoff = backoff
        self._running: dict[int, Worker] = {}
        self._were_ready: set[int] = set()
        self._refused: str | None = None
        self.all_ready = asyncio.Event()  # every worker was ready once

    async def run(self, stop: asyncio.Event, overdue_s: float) -> None:
        """Until `stop` is set and all have ended; those that have not after `overdue_s` are killed.

        Raises ConfigError if a worker was set up wrongly; the others were ended in order by then.
        """
        async with asyncio.TaskGroup() as tasks:
            keeping = [tasks.create_task(self._keep(number, stop)) for number in range(len(self._names))]
            ending = tasks.create_task(self._end_on(stop, overdue_s))
            await asyncio.wait(keeping)
            ending.cancel()
        if self._refused is not None:
            raise ConfigError(f"the worker {self._refused} cannot be set up as asked (its own line says why)")

    def signal_all(self, number: signal.Signals) -> None:
        for worker in self._running.values():
            worker.send_signal(number)

    async def _keep(self, number: int, stop: asyncio.Event) -> None:
        name, backoff = self._names[number], self._backoff()
        word = "started"
        while not stop.is_set():
            began = time.monotonic()
            try:
                worker = self._running[number] = await self._start(number)
            except OSError as error:  # no memory, no process left: may pass
                reason = error.strerror or type(error).__name__
            else:
                say(f"{word} the worker {name} (process {worker.pid})")
                if stop.is_set():  # nobody has told this one
                    worker.send_signal(signal.SIGTERM)
                code = await self._watch(number, worker)
                del self._running[number]
                if code == WRONG_SETUP and not stop.is_set():
                    self._refused = name
                    stop.set()
                reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            if not stop.is_set():
                wait_s = backoff.after(time.monotonic() - began)
                say(f"the worker {name} is gone ({reason}); starting it again in {wait_s:g} s")
                await _unless(stop, wait_s)
            word = "restarted"

    async def _watch(self, number: int, worker: Worker) -> int:
        if await worker.ready():
            self._were_ready.add(number)
            if len(self._were_ready) == len(self._names):
                self.all_ready.set()
        return await worker.wait()

    async def _end_on(self, stop: asyncio.Event, overdue_s: float) -> None:
        await stop.wait()
        self.signal_all(signal.SIGTERM)
        await asyncio.sleep(overdue_s)
        self.signal_all(signal.SIGKILL)


def fleet(settings: Settings, *, gpus: str | None, workers: int | None) -> None:
    """Run until Ctrl-C or SIGTERM; `gpus` (`all` or `0,2`) or `workers` (how many) is given.

    Raises ConfigError if the machine lacks a GPU or a worker is set up wrongly.
    """
    configure_logging(settings.log_format, settings.log_level)
    require(settings, "fleet", "broker_url", "store_url")
    if gpus is not None:
        arguments = [["--gpu", str(gpu)] for gpu in chosen_gpus(gpus)]
        names = [f"on GPU {gpu}" for _, gpu in arguments]
    else:
        arguments = [[] for _ in range(workers or 1)]
        names = [f"number {number}" for number in range(len(arguments))]
    asyncio.run(_serve(settings, names, arguments))


async def _serve(settings: Settings, names: list[str], arguments: list[list[str]]) -> None:
    stop = asyncio.Event()
    lifeline, held_open = os.pipe()
    threads = settings.worker.threads or max(1, len(os.sched_getaffinity(0)) // len(names))

    async def start(number: int) -> Worker:
        port = settings.metrics_port + number if settings.metrics_port else 0
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.cli", "worker", "--supervised", *arguments[number]),
            stdin=lifeline,
            stdout=asyncio.subprocess.PIPE,
            env=environment_with(
                **{f"{PREFIX}WORKER__THREADS": str(threads), f"{PREFIX}METRICS_PORT": str(port)},
            ),
        )
        return _WorkerProcess(process)

    workers = Fleet(names, start)
    _stop_on_signals(stop, workers)
    try:
        async with asyncio.TaskGroup() as tasks:
            announcing = tasks.create_task(_announce(workers.all_ready))
            await workers.run(stop, settings.worker.drain_s + _OVERDUE_S)
            announcing.cancel()
    finally:
        os.close(held_open)
        os.close(lifeline)


async def _announce(all_ready: asyncio.Event) -> None:
    await all_ready.wait()
    announce_ready("Nunmal fleet")


def _stop_on_signals(stop: asyncio.Event, workers: Fleet) -> None:
    """Ctrl-C and SIGTERM set `stop`; a second one kills the workers, after which `Fleet.run` returns."""

    def on_signal() -> None:
        if stop.is_set():
            workers.signal_all(signal.SIGKILL)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)


class _WorkerProcess:
    """Implements Worker. What it writes to standard output is read; its standard error is ours."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ready(self) -> bool:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if b" is ready" in line:  # shared.entrypoint.announce_ready
                return True
        return False

    async def wait(self) -> int:
        assert self._process.stdout is not None
        while await self._process.stdout.read(4096):  # a full pipe would hold it up
            pass
        return await self._process.wait()

    def send_signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)


async def _unless(stop: asyncio.Event, wait_s: float) -> None:
    """Wait so long, or until `stop`."""
    waiting = asyncio.ensure_future(stop.wait())
    await asyncio.wait({waiting}, timeout=wait_s)
    waiting.cancel()
