"""The audit chain in the store: records are appended and read, never changed (shared/audit.py has the rule).

The collection `audit` needs insert and find only; the head lives in a collection of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from shared.audit import BEGINNING, AuditAction, Head, hash_of
from shared.store.connection import Collection, Document, translated

_HEAD = "head"


class Audit:
    def __init__(self, records: Collection, heads: Collection) -> None:
        self._records = records
        self._heads = heads

    async def ensure_indexes(self) -> None:
        """Records are found by their number, which is their id."""

    @translated
    async def append(self, actor: str, action: AuditAction, target: str, **facts: str | int) -> Head:
        """Record one act. `actor`: a user's id, `command:` and who ran it, or `worker:` and its id.

        Never put names, what people wrote, or secrets in `facts`. Several writers may append at once: a number is
        given once, and who comes second tries the next. Raises StoreUnavailable: then do not do it.
        """
        while True:
            try:
                end = await self._end()
                document: Document = {
                    "_id": end.number + 1,
                    # Text, not our usual seconds: what is hashed must read back letter for letter.
                    "at": datetime.now(UTC).isoformat(timespec="microseconds"),
                    "actor": actor,
                    "action": str(AuditAction(action)),
                    "target": target,
                    "facts": dict(facts),
                    "previous": end.hash,
                }
                document["hash"] = hash_of(document)
                await self._records.insert_one(document)
            except DuplicateKeyError:
                continue
            new = Head(document["_id"], document["hash"])
            await self._heads.update_one(
                {"_id": _HEAD, "number": {"$lt": new.number}}, {"$set": {"number": new.number, "hash": new.hash}}
            )
            return new

    @translated
    async def head(self) -> Head | None:
        """The head kept apart; None before the first record, or if somebody removed it."""
        return await self._head()

    @translated
    async def after(self, number: int, limit: int) -> list[dict[str, Any]]:
        """The next records in order, as they are stored: verification wants to see everything."""
        return await self._records.find({"_id": {"$gt": number}}).sort("_id", 1).limit(limit).to_list(limit)

    @translated
    async def last(self, limit: int) -> list[dict[str, Any]]:
        """The last records, oldest first."""
        found = await self._records.find({"_id": {"$gt": 0}}).sort("_id", -1).limit(limit).to_list(limit)
        return found[::-1]

    async def _head(self) -> Head | None:
        document = await self._heads.find_one({"_id": _HEAD})
        return Head(document["number"], document["hash"]) if document else None

    async def _end(self) -> Head:
        """What the next record continues.

        The head lags behind when a writer died between its two writes. It is ahead of the records only if their end
        was cut: then the next one continues the head, so that the gap stays for everybody to see. A head that is
        gone is made anew only where there are no records either.
        """
        head = await self._head()
        known = head or BEGINNING
        newer = await self._records.find({"_id": {"$gt": known.number}}).sort("_id", -1).limit(1).to_list(1)
        if newer:
            return Head(newer[0]["_id"], str(newer[0].get("hash")))
        if head is None:
            await self._heads.update_one(
                {"_id": _HEAD}, {"$setOnInsert": {"number": known.number, "hash": known.hash}}, upsert=True
            )
        return known
