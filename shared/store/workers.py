"""Which workers live: one small document each, renewed by its heartbeat, so no generation is written to stay alive.

A worker is alive while its last heartbeat is younger than `stale_after`. Hosts must agree on the time to well
within that (NTP does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.store.connection import Collection, Document, translated
from shared.store.times import moment, now


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What a worker says of itself with every heartbeat."""

    id: str
    lane: str
    model: str
    model_digest: str
    slots: int
    busy: int
    service_s: float | None  # how long answers hold a slot, in the mean; None: not measured yet
    answer_tokens: float | None  # how many tokens they take, prompt included
    heartbeat_at: datetime
    context_length: int | None = None  # tokens; None: an older worker does not tell
    sees: bool = False  # its model looks at pictures
    adapters: tuple[str, ...] = ()  # versions that it answers with
    is_asked_to_drain: bool = False

    @property
    def free(self) -> int:
        return max(0, self.slots - self.busy)


class Workers:
    def __init__(self, collection: Collection) -> None:
        self._workers = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._workers.create_index("lane")

    @translated
    async def beat(
        self,
        worker_id: str,
        lane: str,
        model: str,
        model_digest: str,
        slots: int,
        busy: int,
        service_s: float | None = None,
        answer_tokens: float | None = None,
        context_length: int | None = None,
        sees: bool = False,
        adapters: Sequence[str] = (),
    ) -> bool:
        """True if an operator has asked this worker to drain."""
        await self._workers.update_one(
            {"_id": worker_id},
            {
                "$set": {
                    "lane": lane,
                    "model": model,
                    "model_digest": model_digest,
                    "slots": slots,
                    "busy": busy,
                    "service_s": service_s,
                    "answer_tokens": answer_tokens,
                    "context_length": context_length,
                    "sees": sees,
                    "adapters": list(adapters),
                    "heartbeat_at": now(),
                }
            },
            upsert=True,
        )
        found = await self._workers.find_one({"_id": worker_id}, {"drain_asked_at": 1})
        return found is not None and found.get("drain_asked_at") is not None

    @translated
    async def ask_to_drain(self, worker_id: str) -> bool:
        """It learns of it with its next heartbeat. False if there is no such worker."""
        result = await self._workers.update_one({"_id": worker_id}, {"$set": {"drain_asked_at": now()}})
        return bool(result.matched_count)

    @translated
    async def remove(self, worker_id: str) -> None:
        """A worker that ends on purpose says so, and nobody waits for its heartbeat to grow stale."""
        await self._workers.delete_one({"_id": worker_id})

    @translated
    async def alive(self, stale_after: timedelta, lane: str | None = None) -> list[WorkerStatus]:
        """Workers with a fresh heartbeat, of one lane or of all."""
        limit = now() - stale_after.total_seconds()
        cursor = self._workers.find({} if lane is None else {"lane": lane})
        return [_status(document) async for document in cursor if document["heartbeat_at"] > limit]

    @translated
    async def sweep(self, older_than: timedelta) -> None:
        """Forget workers that have been silent for long."""
        await self._workers.delete_many({"heartbeat_at": {"$lt": now() - older_than.total_seconds()}})


def _status(document: Document) -> WorkerStatus:
    return WorkerStatus(
        id=document["_id"],
        lane=document["lane"],
        model=document["model"],
        model_digest=document["model_digest"],
        slots=document["slots"],
        busy=document["busy"],
        service_s=document["service_s"],
        answer_tokens=document["answer_tokens"],
        heartbeat_at=moment(document["heartbeat_at"]),
        context_length=document.get("context_length"),
        sees=document.get("sees", False),
        adapters=tuple(document.get("adapters", ())),
        is_asked_to_drain=document.get("drain_asked_at") is not None,
    )
