"""Looks at the lane every second or so and tells it as metrics: who waits, how long, and who works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared import metrics
from shared.broker.base import Broker
from shared.errors import QueueFull, StoreUnavailable
from shared.store import Store
from shared.telemetry import fields
from web.chat.line import Line, Lines
from web.scaling import desired_workers

log = logging.getLogger(__name__)

_EVERY_S = 1.0
_MOST_DEAD = 1000


@dataclass(frozen=True, slots=True)
class LaneSight:
    """One look."""

    waiting: int
    oldest_s: float  # since the longest waiting one was asked; 0: none
    line: Line
    dead: int
    desired: int


class LaneWatch:
    """Of one lane. Every web node looks by itself, and all see the same."""

    def __init__(
        self, store: Store, broker: Broker, lines: Lines, lane: str, *, waiting_room: int, wait_goal_s: float
    ) -> None:
        self._store = store
        self._broker = broker
        self._lines = lines
        self._lane = lane
        self._wait_goal_s = wait_goal_s
        metrics.WAITING_ROOM.labels(lane).set(waiting_room)
        metrics.REFUSALS.labels(QueueFull.code)  # from 0, so that the first one is seen as a rise

    async def run(self, on_sight: Callable[[LaneSight], None] = lambda sight: None) -> None:
        """Until cancelled. While the store is away the lane's gauges keep their last values."""
        while True:
            metrics.BROKER_CONNECTED.set(self._broker.is_connected)
            try:
                sight = await self.look()
            except StoreUnavailable as error:
                log.info("lane_not_seen", extra=fields(reason=str(error)))
            else:
                self._tell(sight)
                on_sight(sight)
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> LaneSight:
        """Raises StoreUnavailable."""
        line = await self._lines.of(self._lane)
        asked_at = await self._store.generations.longest_waiting(self._lane) if line.waiting else None
        oldest_s = max(0.0, (datetime.now(UTC) - asked_at).total_seconds()) if asked_at else 0.0
        dead = await self._store.generations.count_dead(_MOST_DEAD)
        waiting = len(line.waiting)
        return LaneSight(waiting, oldest_s, line, dead, desired_workers(waiting, line.workers, self._wait_goal_s))

    def _tell(self, sight: LaneSight) -> None:
        lane, workers = self._lane, sight.line.workers
        metrics.QUEUE_DEPTH.labels(lane).set(sight.waiting)
        metrics.QUEUE_OLDEST_AGE.labels(lane).set(sight.oldest_s)
        metrics.LANE_WORKERS.labels(lane).set(len(workers))
        metrics.LANE_SLOTS.labels(lane).set(sum(worker.slots for worker in workers))
        metrics.LANE_SLOTS_BUSY.labels(lane).set(sum(worker.busy for worker in workers))
        metrics.DESIRED_WORKERS.labels(lane).set(sight.desired)
        metrics.DEAD_LETTERS.set(sight.dead)
