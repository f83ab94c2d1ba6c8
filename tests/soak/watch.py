"""Looks at every process again and again: memory, open files, tasks, CPU, and what it tells Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.bench.processes import cpu_of_process, resident_kib
from tests.chaos.system import Service
from tests.soak.metered import NAME

EVERY_S = 15.0  # as often as infra/prometheus/prometheus.yml scrapes
_TASKS, _TOKENS = "nunmal_event_loop_tasks", "nunmal_generation_tokens"


@dataclass(slots=True)
class Course:
    """Of one process; lists of one length. An engine's process has no event loop and tells Prometheus nothing."""

    seconds: list[float] = field(default_factory=list)
    rss_kib: list[float] = field(default_factory=list)
    open_files: list[float] = field(default_factory=list)
    tasks: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    instruments_s: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)

    def since(self, seconds: float) -> Course:
        """What was seen from then on."""
        begin = next((n for n, at in enumerate(self.seconds) if at >= seconds), len(self.seconds))
        return Course(*(getattr(self, name)[begin:] for name in self.__slots__))


class Watch:
    """`courses` by process: web-1, worker-1, worker-1 engine, ..."""

    def __init__(self, services: Sequence[tuple[Service, int]]) -> None:
        """Each with the port of its metrics."""
        self._services = services
        self._begun = time.monotonic()
        self.courses: dict[str, Course] = {}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    async def keep_watching(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=30) as client:
            while True:
                for service, port in self._services:
                    with contextlib.suppress(httpx.TransportError, ProcessLookupError, FileNotFoundError):
                        await self._look(service, await _told(client, port))
                await asyncio.sleep(EVERY_S)

    async def _look(self, service: Service, told: dict[str, float]) -> None:
        for number, pid in enumerate(await asyncio.to_thread(lambda: service.pids)):
            course = self.courses.setdefault(f"{service.name} engine" if number else service.name, Course())
            row = (
                self.seconds,
                resident_kib(pid),
                open_files(pid),
                0.0 if number else told[_TASKS],
                cpu_of_process(pid),
                0.0 if number else told[NAME],
                0.0 if number else told.get(_TOKENS, 0.0),
            )
            for name, value in zip(course.__slots__, row, strict=True):
                getattr(course, name).append(value)


def open_files(pid: int) -> int:
    """Sockets and pipes too."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def _told(client: httpx.AsyncClient, port: int) -> dict[str, float]:
    """The sums over all labels of what this process counts."""
    text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    wanted = {_TASKS, _TOKENS, NAME}
    return {
        family.name: sum(sample.value for sample in family.samples)
        for family in text_string_to_metric_families(text)
        if family.name in wanted
    }
