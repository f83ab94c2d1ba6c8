"""Blind comparisons: which version stood where, and what was chosen. Their answers are turns (generations.py)."""

from __future__ import annotations

from shared.comparisons import Choice, Comparison
from shared.store.connection import Collection, Document, translated
from shared.store.times import moment, now


class Comparisons:
    def __init__(self, collection: Collection) -> None:
        self._comparisons = collection

    @translated
    async def ensure_indexes(self) -> None:
        for field in ("user_id", "asked_at"):
            await self._comparisons.create_index(field)

    @translated
    async def add(self, comparison: Comparison) -> None:
        """One that nobody has chosen in yet."""
        await self._comparisons.insert_one(
            {
                "_id": comparison.id,
                "user_id": comparison.user_id,
                "question": comparison.question,
                "left": comparison.left,
                "right": comparison.right,
                "asked_at": comparison.asked_at.timestamp(),
                "choice": None,
                "chosen_at": None,
            }
        )

    @translated
    async def get(self, comparison_id: str, user_id: str) -> Comparison | None:
        document = await self._comparisons.find_one({"_id": comparison_id, "user_id": user_id})
        return _comparison(document) if document else None

    @translated
    async def choose(self, comparison_id: str, user_id: str, choice: Choice) -> bool:
        """False if something was chosen before, or there is none."""
        result = await self._comparisons.update_one(
            {"_id": comparison_id, "user_id": user_id, "choice": None},
            {"$set": {"choice": str(choice), "chosen_at": now()}},
        )
        return result.matched_count == 1

    @translated
    async def remove(self, comparison_id: str, user_id: str) -> None:
        await self._comparisons.delete_one({"_id": comparison_id, "user_id": user_id})

    @translated
    async def of_user(self, user_id: str) -> list[Comparison]:
        """The last first."""
        found = [_comparison(document) async for document in self._comparisons.find({"user_id": user_id})]
        return sorted(found, key=lambda comparison: comparison.id, reverse=True)

    @translated
    async def chosen(self) -> list[Comparison]:
        """Everybody's that were decided, without their questions."""
        cursor = self._comparisons.find({"chosen_at": {"$gt": 0.0}}, {"question": 0})
        return [_comparison(document) async for document in cursor]


def _comparison(document: Document) -> Comparison:
    chosen_at = document["chosen_at"]
    return Comparison(
        id=document["_id"],
        user_id=document["user_id"],
        question=document.get("question", ""),
        left=document["left"],
        right=document["right"],
        asked_at=moment(document["asked_at"]),
        choice=Choice(document["choice"]) if document["choice"] else None,
        chosen_at=moment(chosen_at) if chosen_at is not None else None,
    )
