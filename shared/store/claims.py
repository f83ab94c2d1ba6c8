"""Jobs in a collection: claimed by one worker at a time, whose turn it is first first, and written under its attempt.

Every write of a worker is fenced by (job, attempt).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from pymongo import ReturnDocument

from shared.errors import NunmalError
from shared.jobs import FAILED, READING, WAITING
from shared.store.connection import Collection, Document, translated
from shared.store.times import now

J = TypeVar("J")

MOST_ROWS = 1000


class Claims(Generic[J]):
    """`of_row`: the job that a document of the collection is; `fields`: those it needs, None for all."""

    def __init__(
        self, collection: Collection, of_row: Callable[[Document], J], fields: Mapping[str, int] | None = None
    ) -> None:
        self._jobs = collection
        self._of_row = of_row
        self._fields = fields

    # What workers do.

    @translated
    async def claim(self, worker_id: str) -> J | None:
        """The waiting job whose turn it is, or None. Counts the attempt; what stalled goes after the others."""
        found = await self._jobs.find_one_and_update(
            {"state": WAITING},
            {
                "$set": {"state": READING, "worker_id": worker_id, "begun_at": now()},
                "$inc": {"attempt": 1, "stalled": 1},
            },
            projection=self._fields,
            sort=[("stalled", 1), ("tag", 1), ("_id", 1)],
            return_document=ReturnDocument.AFTER,
        )
        if not found:
            return None
        begun = self._begun(found)
        if begun:
            await self._jobs.update_one(owned(found["_id"], found["attempt"]), {"$set": begun})
        return self._of_row(found | begun)

    @translated
    async def give_back(self, job_id: str, attempt: int) -> bool:
        """For another worker: this one ends, or is lost. False if another attempt owns it now, or nobody."""
        return await self._change(job_id, attempt, {"state": WAITING, "worker_id": None})

    @translated
    async def fail(self, job_id: str, attempt: int, error: NunmalError) -> bool:
        """As `give_back`, for good."""
        changes = {"state": FAILED, "worker_id": None, "error_code": error.code, "error_facts": error.facts}
        return await self._change(job_id, attempt, changes)

    async def _change(self, job_id: str, attempt: int, changes: dict[str, Any]) -> bool:
        return bool((await self._jobs.update_one(owned(job_id, attempt), {"$set": changes})).matched_count)

    def _begun(self, row: Document) -> dict[str, Any]:
        """What else is to be kept of the beginning of an attempt."""
        return {}

    # What recovery does.

    @translated
    async def being_read(self) -> list[J]:
        """All that somebody has claimed."""
        cursor = self._jobs.find({"state": READING}, self._fields).limit(MOST_ROWS)
        return [self._of_row(row) async for row in cursor]

    @translated
    async def waiting(self, without_permit_s: float) -> list[str]:
        """Ids of those whose last permit was sent longer ago, whose turn is first first."""
        query = {"state": WAITING, "permit_at": {"$lt": now() - without_permit_s}}
        return [row["_id"] async for row in self._jobs.find(query, {"_id": 1}).sort("tag", 1).limit(MOST_ROWS)]

    @translated
    async def permit_sent(self, job_id: str) -> None:
        await self._jobs.update_one({"_id": job_id}, {"$set": {"permit_at": now()}})


def owned(job_id: str, attempt: int) -> Document:
    return {"_id": job_id, "attempt": attempt, "state": READING}
