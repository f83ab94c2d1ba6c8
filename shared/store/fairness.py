"""Start-time fair queueing over tokens (Goyal, Vin, Cheng 1996), in single-document operations.

Every lane has a virtual time: the highest start tag claimed so far. Every user has a finish tag there: where what they
asked so far will have been served. A question's start tag is the later of the two, so that who asked much waits behind
their own questions, and who was away begins at the present and not in the past.
"""

from __future__ import annotations

from pymongo.errors import DuplicateKeyError

from shared.store.connection import Collection, translated


class Fairness:
    """Tags and costs are in tokens."""

    def __init__(self, collection: Collection) -> None:
        self._tags = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._tags.create_index("lane")

    @translated
    async def virtual_time(self, lane: str) -> float:
        present = await self._tags.find_one({"_id": lane})
        return float(present["virtual_time"]) if present else 0.0

    @translated
    async def start_tag(self, lane: str, user_id: str, cost: float, virtual_time: float) -> float:
        """The start tag of a question that is expected to cost this much; the user's next one starts after it.

        `virtual_time` may be a second old: everybody's is. One call for whoever has questions there, two for others.
        """
        user = _user(lane, user_id)
        while True:
            before = await self._tags.find_one_and_update(
                {"_id": user, "finish_tag": {"$gte": virtual_time}}, {"$inc": {"finish_tag": cost}}
            )
            if before:
                return float(before["finish_tag"])
            away = {"_id": user, "finish_tag": {"$lt": virtual_time}}
            begin = {"$set": {"lane": lane, "finish_tag": virtual_time + cost}}
            try:
                await self._tags.update_one(away, begin, upsert=True)
            except DuplicateKeyError:  # another question of theirs was quicker: this one starts after it
                continue
            return virtual_time

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
