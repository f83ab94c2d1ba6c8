"""A change of documents that are already there, made while everything serves.

What code must hold to, so that no order of updates is wrong: a new version reads both shapes before any document is
changed; a migration is run when every process is of the new version; what reads the old shape goes in a later version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.store.connection import Database


@dataclass(frozen=True, slots=True)
class Migration:
    """Fields that are set where `missing` is not there. Documents are found by their shape, so that running it twice,
    or going on after an interruption, changes nothing that was changed before."""

    name: str  # of the record that it was run; never changed
    why: str  # a sentence for operators
    collection: str
    missing: str  # the field that tells the old shape
    values: Mapping[str, Any]  # no dates: times are seconds (shared/store/times.py)

    async def is_pending(self, database: Database) -> bool:
        return await database[self.collection].find_one(self._old, {"_id": 1}) is not None

    async def step(self, database: Database, most: int) -> int:
        """Changes at most so many documents, each as a whole. Returns how many; 0: none was left."""
        collection = database[self.collection]
        found = await collection.find(self._old, {"_id": 1}).limit(most).to_list(most)
        if not found:
            return 0
        ids = [document["_id"] for document in found]
        changed = await collection.update_many({"_id": {"$in": ids}, **self._old}, {"$set": dict(self.values)})
        return int(changed.modified_count)

    @property
    def _old(self) -> dict[str, Any]:
        return {self.missing: {"$exists": False}}
