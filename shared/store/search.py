"""By what a person's turns are found: one document a turn, with the stems of its question and answer as one text.

A text and not a list, because an index on a list breaks its look-ups on the embedded store. A search reads the owner's
documents, and no others; at 20,000 turns that takes the embedded store 0.4 s (MongoDB was not measured).

Which turns lack a document is a mark on the turn (`is_unindexed`), so whoever dies in between, the work goes on there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.chat import GenerationState
from shared.store.connection import Collection, Document, translated

_OVER = [str(state) for state in GenerationState if state.is_final]


class Entry(NamedTuple):
    turn_id: str
    conversation_id: str


class Search:
    def __init__(self, collection: Collection, generations: Collection) -> None:
        self._entries = collection
        self._generations = generations

    @translated
    async def ensure_indexes(self) -> None:
        await self._entries.create_index("user_id")
        await self._generations.create_index("is_unindexed")

    @translated
    async def unindexed(self, limit: int, user_id: str | None = None) -> list[str]:
        """Ids of turns that are over and cannot be found yet, of everybody or of one person."""
        query: Document = {"is_unindexed": True, "state": {"$in": _OVER}}
        if user_id is not None:
            query["user_id"] = user_id
        cursor = self._generations.find(query, {"_id": 1}).limit(limit)
        return [document["_id"] async for document in cursor]

    @translated
    async def mark_older(self, limit: int) -> int:
        """Mark turns that were written before there was a search; how many, at most `limit`."""
        cursor = self._generations.find({"is_unindexed": {"$exists": False}}, {"_id": 1}).limit(limit)
        ids = [document["_id"] async for document in cursor]
        if ids:
            await self._generations.update_many({"_id": {"$in": ids}}, {"$set": {"is_unindexed": True}})
        return len(ids)

    @translated
    async def put(self, entry: Entry, user_id: str, stems: Iterable[str]) -> None:
        """Let a turn be found by these. A turn that was removed meanwhile is not."""
        text = f" {' '.join(dict.fromkeys(stems))} "
        values = {"user_id": user_id, "conversation_id": entry.conversation_id, "stems": text}
        await self._entries.update_one({"_id": entry.turn_id}, {"$set": values}, upsert=True)
        if not await self._done(entry.turn_id):
            await self._entries.delete_one({"_id": entry.turn_id})

    @translated
    async def leave_out(self, turn_id: str) -> None:
        """A turn that no page shows."""
        await self._done(turn_id)

    @translated
    async def matching(self, user_id: str, patterns: Sequence[str], limit: int) -> list[Entry]:
        """This user's turns whose stems match every pattern, the last first. A stem stands between two spaces."""
        query: Document = {"user_id": user_id, "$and": [{"stems": {"$regex": pattern}} for pattern in patterns]}
        cursor = self._entries.find(query, {"conversation_id": 1}).sort("_id", -1).limit(limit)
        return [Entry(document["_id"], document["conversation_id"]) async for document in cursor]

    @translated
    async def remove(self, turn_ids: Sequence[str]) -> None:
        await self._entries.delete_many({"_id": {"$in": list(turn_ids)}})

    async def _done(self, turn_id: str) -> bool:
        result = await self._generations.update_one({"_id": turn_id}, {"$set": {"is_unindexed": False}})
        return bool(result.matched_count)
