"""Documents that wait to be indexed anew, or are (shared/documents.py: Reindexing); what is done goes."""

from __future__ import annotations

from typing import Any

from pymongo.errors import DuplicateKeyError

from shared.documents import Document, Reindexing
from shared.jobs import FAILED, WAITING
from shared.store import connection
from shared.store.claims import Claims, owned
from shared.store.connection import Collection, translated
from shared.store.times import now


class Reindexings(Claims[Reindexing]):
    def __init__(self, collection: Collection) -> None:
        super().__init__(collection, _reindexing)
        self._reindexings = collection

    @translated
    async def ensure_indexes(self) -> None:
        for field in ("user_id", "state"):
            await self._reindexings.create_index(field)

    @translated
    async def add(self, document: Document, index: str) -> bool:
        """Have it indexed anew. False: that waits or is done already; what failed, or was for another index, begins
        again."""
        fresh: dict[str, Any] = {
            "user_id": document.user_id,
            "index": index,
            "state": WAITING,
            "tag": 0.0,
            "stalled": 0,
            "worker_id": None,
            "pages_done": 0,
            "error_code": None,
            "error_facts": {},
            "created_at": now(),
            "permit_at": 0.0,
            "begun_at": None,
        }
        found = await self._reindexings.find_one({"_id": document.id})
        if found is not None:
            if found["index"] == index and found["state"] != FAILED:
                return False
            query = {"_id": document.id, "attempt": found["attempt"]}
            anew = {"$set": fresh, "$inc": {"attempt": 1}}
            return bool((await self._reindexings.update_one(query, anew)).matched_count)
        try:
            await self._reindexings.insert_one({"_id": document.id, "attempt": 0, **fresh})
        except DuplicateKeyError:  # another command, at this moment
            return False
        return True

    @translated
    async def all(self) -> list[Reindexing]:
        return [_reindexing(row) async for row in self._reindexings.find({})]

    @translated
    async def page_done(self, job_id: str, attempt: int, number: int) -> bool:
        """Its passages and those of the pages before are there. False if another attempt owns it now, or nobody."""
        return await self._change(job_id, attempt, {"pages_done": number, "stalled": 0})

    @translated
    async def finish(self, job_id: str, attempt: int) -> bool:
        """As `page_done`: nothing is left to do."""
        return bool((await self._reindexings.delete_one(owned(job_id, attempt))).deleted_count)


def _reindexing(row: connection.Document) -> Reindexing:
    return Reindexing(
        id=row["_id"],
        user_id=row["user_id"],
        index=row["index"],
        state=row["state"],
        tag=row["tag"],
        attempt=row["attempt"],
        stalled=row["stalled"],
        worker_id=row["worker_id"],
        pages_done=row["pages_done"],
        error_code=row["error_code"],
    )
