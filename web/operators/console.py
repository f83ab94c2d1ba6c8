"""What operators see and do on /ops: the line, the workers, the dead letters. No HTTP here, and nobody's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.audit import AuditAction
from shared.broker.base import Broker
from shared.chat import User
from shared.dead_letters import DeadAnswer, DeadLetters
from shared.errors import BrokerUnavailable, NotFound
from shared.store import Store
from shared.store.workers import WorkerStatus
from web.lane_watch import LaneSight, LaneWatch
from web.operators.history import History, Sample
from web.operators.sparkline import lines


@dataclass(frozen=True, slots=True)
class Spark:
    """One small picture: the key of its title, the number that stands beside it, its lines."""

    key: str
    now: float | None
    lines: list[str]
    is_seconds: bool = False


@dataclass(frozen=True, slots=True)
class WorkerRow:
    status: WorkerStatus
    silent_s: float  # since its last heartbeat


@dataclass(frozen=True, slots=True)
class Panel:
    """One look."""

    sight: LaneSight
    sparks: list[Spark]
    workers: list[WorkerRow]


class Console:
    def __init__(self, store: Store, watch: LaneWatch, history: History, broker: Broker) -> None:
        self._store = store
        self._watch = watch
        self._history = history
        self._letters = DeadLetters(store, broker)
        self._letters_in_store = DeadLetters(store, None)

    async def look(self) -> Panel:
        """Raises StoreUnavailable."""
        sight = await self._watch.look()
        now = datetime.now(UTC)
        workers = [
            WorkerRow(worker, max(0.0, (now - worker.heartbeat_at).total_seconds()))
            for worker in sorted(sight.line.workers, key=lambda worker: worker.id)
        ]
        return Panel(sight, _sparks(self._history.samples), workers)

    async def dead(self) -> list[DeadAnswer]:
        """While the broker is away, those that the store knows. Raises StoreUnavailable."""
        try:
            return await self._letters.all()
        except BrokerUnavailable:
            return await self._letters_in_store.all()

    async def drain(self, operator: User, worker_id: str) -> None:
        """Let it finish and end. Raises NotFound."""
        if not await self._store.workers.ask_to_drain(worker_id):
            raise NotFound
        await self._store.audit.append(operator.id, AuditAction.WORKER_DRAIN_ASKED, worker_id)

    async def replay(self, operator: User, generation_id: str) -> None:
        """Raises NotFound, BrokerUnavailable."""
        await self._letters.replay(generation_id, operator.id)

    async def drop(self, operator: User, generation_id: str) -> None:
        """Raises NotFound, BrokerUnavailable."""
        await self._letters.drop(generation_id, operator.id)


def _sparks(samples: Sequence[Sample]) -> list[Spark]:
    def spark(key: str, values: Sequence[float | None], *, is_seconds: bool = False) -> Spark:
        return Spark(key, values[-1] if values else None, lines(values), is_seconds)

    return [
        spark("ops.waiting", [sample.waiting for sample in samples]),
        spark("ops.oldest", [sample.oldest_s for sample in samples], is_seconds=True),
        spark("ops.busy", [sample.busy for sample in samples]),
        spark("ops.first_text", [sample.first_text_s for sample in samples], is_seconds=True),
    ]
