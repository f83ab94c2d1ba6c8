"""The line of a lane as this node last saw it: who waits in which order, and how fast it moves.

One look at the store a second serves all who wait here, however many they are.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from datetime import timedelta

from shared.chat import Generation
from shared.store import Store
from shared.store.generations import Rank
from shared.store.workers import WorkerStatus

_FRESH_S = 1.0
_MOST_READ = 5_000  # whoever stands behind them is told this many


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question stands. `wait_s` is None while nothing was measured or nobody works."""

    ahead: int
    wait_s: float | None
    has_worker: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One look at a lane."""

    waiting: list[Rank] = field(default_factory=list)
    workers: list[WorkerStatus] = field(default_factory=list)
    virtual_time: float = 0.0  # tokens: the start tag of who is alone here

    def place(self, rank: Rank) -> Place:
        ahead = bisect_left(self.waiting, rank)
        return Place(ahead, self.wait_s(ahead), any(worker.slots for worker in self.workers))

    def wait_s(self, ahead: int) -> float | None:
        """Seconds until a question with so many before it begins."""
        free = sum(worker.free for worker in self.workers)
        if ahead < free:
            return 0.0
        ended_per_s = self.ended_per_s
        return (ahead - free + 1) / ended_per_s if ended_per_s else None

    @property
    def ended_per_s(self) -> float:
        """Answers that the living workers end in a second while all their slots are busy; 0 if nobody knows."""
        return sum(worker.slots / worker.service_s for worker in self.workers if worker.service_s)

    @property
    def answer_tokens(self) -> float | None:
        """What an answer takes in the mean, its prompt included."""
        known = [worker.answer_tokens for worker in self.workers if worker.answer_tokens]
        return sum(known) / len(known) if known else None

    def is_working(self, worker_id: str | None) -> bool:
        return any(worker.id == worker_id for worker in self.workers)


class Lines:
    """Looks at most once a second at every lane. `stale_after_s`: a worker silent for longer is lost."""

    def __init__(self, store: Store, stale_after_s: float) -> None:
        self._store = store
        self._stale_after = timedelta(seconds=stale_after_s)
        self._lines: dict[str, tuple[float, Line]] = {}
        self._looking = asyncio.Lock()

    async def of(self, lane: str) -> Line:
        """Not older than a second. Raises StoreUnavailable."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            seen_at, line = self._lines.get(lane, (-math.inf, Line()))
            if now - seen_at >= _FRESH_S:
                line = Line(
                    *await asyncio.gather(
                        self._store.generations.waiting_in(lane, _MOST_READ),
                        self._store.workers.alive(self._stale_after, lane),
                        self._store.fairness.virtual_time(lane),
                    )
                )
                self._lines[lane] = now, line
            return line

    def join(self, turn: Generation) -> None:
        """This node has just written it: whoever asks now need not wait for the next look to see it in line."""
        if turn.lane in self._lines:
            insort(self._lines[turn.lane][1].waiting, rank_of(turn))

    async def place(self, turn: Generation) -> Place:
        """Where a waiting turn stands. Raises StoreUnavailable."""
        return (await self.of(turn.lane)).place(rank_of(turn))


def rank_of(turn: Generation) -> Rank:
    return Rank(int(turn.job_class), turn.tag, turn.id)
