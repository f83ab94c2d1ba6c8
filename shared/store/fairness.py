"""Start-time fair queueing over tokens (Goyal, Vin, Cheng 1996), in single-document operations.

Every lane has a virtual time: the highest start tag claimed so far. Every user has a finish tag there: where what they
asked so far will have been served. A question's start tag is the later of the two, so that who asked much waits behind
their own questions, and who was away begins at the present and not in the past.
"""

from __future__ import annotations

from pymongo import ReturnDocument

from shared.store.connection import Collection, translated


class Fairness:
    """Tags and costs are in tokens."""

    def __init__(self, collection: Collection) -> None:
        self._tags = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._tags.create_index("lane")

    @translated
    async def start_tag(self, lane: str, user_id: str, cost: float) -> float:
        """The start tag of a question that is expected to cost this much; the user's next one starts after it."""
        user = _user(lane, user_id)
        present = await self._tags.find_one({"_id": lane})
        virtual_time = present["virtual_time"] if present else 0.0
        await self._tags.update_one(
            {"_id": user}, {"$max": {"finish_tag": virtual_time}, "$setOnInsert": {"lane": lane}}, upsert=True
        )
        before = await self._tags.find_one_and_update(
            {"_id": user}, {"$inc": {"finish_tag": cost}}, return_document=ReturnDocument.BEFORE
        )
        return float(before["finish_tag"]) if before else virtual_time  # swept between the two: it had been served

    @translated
    async def claimed(self, lane: str, tag: float) -> None:
        """A generation with this start tag is being served: the lane's time is at least that."""
        await self._tags.update_one({"_id": lane}, {"$max": {"virtual_time": tag}}, upsert=True)

    @translated
    async def correct(self, lane: str, user_id: str, difference: float) -> None:
        """A question cost this much more (or less) than was expected."""
        await self._tags.update_one({"_id": _user(lane, user_id)}, {"$inc": {"finish_tag": difference}})

    @translated
    async def sweep(self) -> None:
        """Forget users whose questions have all been served: they begin at the present anyway."""
        async for present in self._tags.find({"virtual_time": {"$exists": True}}):
            await self._tags.delete_many({"lane": present["_id"], "finish_tag": {"$lt": present["virtual_time"]}})


def _user(lane: str, user_id: str) -> str:
    return f"{lane}/{user_id}"
