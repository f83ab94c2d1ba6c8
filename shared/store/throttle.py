"""How often something was tried, one small counter for each account or address, shared by all web nodes.

This file only keeps the counters; what they mean is arithmetic in web/auth/throttling.py. A counter is written with
compare-and-set, so that attempts made at the same moment through several nodes are counted one after another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pymongo.errors import DuplicateKeyError

from shared.store.connection import Collection, translated
from shared.store.times import moment, now


@dataclass(frozen=True, slots=True)
class Tries:
    """`count` is what was left of earlier tries at the moment `at`; a counter that is not there counts 0."""

    count: float
    at: datetime
    version: int = 0  # 0: not in the store


class Throttle:
    """Keys come hashed."""

    def __init__(self, collection: Collection) -> None:
        self._tries = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._tries.create_index("forget_at")

    @translated
    async def read(self, keys: Iterable[str]) -> dict[str, Tries]:
        """The counters that are there, by key; one query for all."""
        cursor = self._tries.find({"_id": {"$in": list(keys)}})
        return {row["_id"]: Tries(row["count"], moment(row["at"]), row["version"]) async for row in cursor}

    @translated
    async def write(self, key: str, tries: Tries, forget_at: datetime) -> bool:
        """Replace the counter that had `tries.version`; False if somebody else was quicker."""
        values = {"count": tries.count, "at": tries.at.timestamp(), "forget_at": forget_at.timestamp()}
        values |= {"version": tries.version + 1}
        if tries.version:
            result = await self._tries.update_one({"_id": key, "version": tries.version}, {"$set": values})
            return bool(result.matched_count)
        try:
            await self._tries.insert_one({"_id": key, **values})
        except DuplicateKeyError:
            return False
        return True

    @translated
    async def give_back(self, key: str) -> None:
        """Take one try off: it was none of those that are counted."""
        await self._tries.update_one({"_id": key, "count": {"$gte": 1.0}}, {"$inc": {"count": -1.0, "version": 1}})

    @translated
    async def forget(self, key: str) -> None:
        await self._tries.delete_one({"_id": key})

    @translated
    async def sweep(self) -> None:
        """Remove the counters that have come down to 0."""
        await self._tries.delete_many({"forget_at": {"$lt": now()}})
