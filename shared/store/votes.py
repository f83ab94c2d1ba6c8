"""What people said of their answers: one document an answer, because an answer has one owner.

It goes with its turn (shared/store/personal.py) and with its person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from shared.store.connection import Collection, Document, translated
from shared.store.times import moment
from shared.votes import Reason, Vote, VoteCount, VoteValue

_COUNTED = {"user_id": 1, "value": 1, "model": 1, "adapter": 1}


class Votes:
    def __init__(self, collection: Collection, generations: Collection) -> None:
        self._votes = collection
        self._generations = generations

    @translated
    async def ensure_indexes(self) -> None:
        for field in ("user_id", "conversation_id"):
            await self._votes.create_index(field)

    @translated
    async def put(self, vote: Vote) -> None:
        """In place of an earlier one. On a turn that was removed meanwhile none is kept."""
        values: Document = {
            "conversation_id": vote.conversation_id,
            "user_id": vote.user_id,
            "value": str(vote.value),
            "reasons": [str(reason) for reason in vote.reasons],
            "words": vote.words,
            "model": vote.model,
            "model_digest": vote.model_digest,
            "adapter": vote.adapter,
            "voted_at": vote.voted_at.timestamp(),
        }
        await self._votes.update_one({"_id": vote.turn_id}, {"$set": values}, upsert=True)
        if await self._generations.find_one({"_id": vote.turn_id}, {"_id": 1}) is None:
            await self._votes.delete_one({"_id": vote.turn_id})

    @translated
    async def take_back(self, turn_id: str, user_id: str) -> None:
        await self._votes.delete_one({"_id": turn_id, "user_id": user_id})

    @translated
    async def of_conversation(self, conversation_id: str, user_id: str) -> dict[str, Vote]:
        """By turn."""
        cursor = self._votes.find({"conversation_id": conversation_id, "user_id": user_id})
        return {document["_id"]: _vote(document) async for document in cursor}

    @translated
    async def of_user(self, user_id: str) -> list[Vote]:
        """In the order of their turns."""
        found = [_vote(document) async for document in self._votes.find({"user_id": user_id})]
        return sorted(found, key=lambda vote: vote.turn_id)

    @translated
    async def counts(self) -> list[VoteCount]:
        """Of every version that was voted on, by name."""
        told: dict[tuple[str, str], list[Document]] = defaultdict(list)
        async for document in self._votes.find({}, _COUNTED):
            told[document["model"], document["adapter"] or ""].append(document)
        return [
            VoteCount(
                model,
                adapter or None,
                sum(each["value"] == VoteValue.UP for each in rows),
                sum(each["value"] == VoteValue.DOWN for each in rows),
                len({each["user_id"] for each in rows}),
            )
            for (model, adapter), rows in sorted(told.items())
        ]

    @translated
    async def remove(self, turn_ids: Sequence[str]) -> None:
        await self._votes.delete_many({"_id": {"$in": list(turn_ids)}})


def _vote(document: Document) -> Vote:
    return Vote(
        turn_id=document["_id"],
        conversation_id=document["conversation_id"],
        user_id=document["user_id"],
        value=VoteValue(document["value"]),
        reasons=tuple(Reason(reason) for reason in document["reasons"]),
        words=document["words"],
        model=document["model"],
        model_digest=document["model_digest"],
        adapter=document["adapter"],
        voted_at=moment(document["voted_at"]),
    )
