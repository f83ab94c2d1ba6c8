"""Which two versions people are asked to compare."""

from __future__ import annotations

from shared.comparisons import Pairing
from shared.store.connection import Collection, Document, translated
from shared.store.times import moment


class Pairings:
    def __init__(self, collection: Collection) -> None:
        self._pairings = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._pairings.create_index("is_open")

    @translated
    async def add(self, pairing: Pairing) -> None:
        await self._pairings.insert_one(
            {
                "_id": pairing.id,
                "one": pairing.one,
                "other": pairing.other,
                "is_open": pairing.is_open,
                "made_by": pairing.made_by,
                "made_at": pairing.made_at.timestamp(),
            }
        )

    @translated
    async def close(self, pairing_id: str) -> bool:
        """Nobody is asked about it any more. False if there is none."""
        result = await self._pairings.update_one({"_id": pairing_id}, {"$set": {"is_open": False}})
        return result.matched_count == 1

    @translated
    async def offered(self) -> list[Pairing]:
        """Those that are open, the last first."""
        return [_pairing(document) async for document in self._pairings.find({"is_open": True}).sort("_id", -1)]

    @translated
    async def is_any_offered(self) -> bool:
        return await self._pairings.find_one({"is_open": True}, {"_id": 1}) is not None


def _pairing(document: Document) -> Pairing:
    return Pairing(
        id=document["_id"],
        one=document["one"],
        other=document["other"],
        is_open=document["is_open"],
        made_by=document["made_by"],
        made_at=moment(document["made_at"]),
    )
