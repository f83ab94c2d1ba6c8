"""Where processes run, and what they cost (Linux)."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where. Everything that is not the engine has the other cores, if there are any."""

    engine: int
    others: frozenset[int]

    @classmethod
    def of_machine(cls) -> Cores:
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[-1], frozenset(allowed[:-1] or allowed))


@contextlib.contextmanager
def pinned(cores: set[int] | frozenset[int]) -> Iterator[None]:
    """What is started inside inherits these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_many_files() -> None:
    """As many open connections as the machine lets us have, here and in children."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def resident_kib(pid: int) -> int:
    """Memory of a process that lies in RAM."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])


def cpu_seconds(pid: int) -> float:
    """Time that all threads of a process have spent on a core."""
    return sum(spent.cpu for spent in spent_by_threads(pid).values())


def cpu_of_process(pid: int) -> float:
    """Time that a process has spent on a core, threads that have ended included (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of a thread: on a core, and ready to run but kept from it by others."""

    cpu: float
    waited: float

    def since(self, before: Spent | None) -> Spent:
        return Spent(self.cpu - before.cpu, self.waited - before.waited) if before else self


def spent_by_threads(pid: int) -> dict[int, Spent]:
    """Of all threads of a process that live, by their id."""
    spent = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        cpu_ns, waited_ns, _ = (thread / "schedstat").read_text().split()
        spent[int(thread.name)] = Spent(int(cpu_ns) / 1e9, int(waited_ns) / 1e9)
    return spent


def busiest(spent: dict[int, Spent], but: int) -> int:
    """The thread that has computed most, `but` left aside."""
    return max((thread for thread in spent if thread != but), key=lambda thread: spent[thread].cpu)


def pin(pid: int, cores: set[int] | frozenset[int]) -> None:
    """All threads that a process has now stay on these cores, as do those they start."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
