"""Snapshots of conversations behind links: what the visible branch was when its owner shared it.

A link's token is returned once, by `add`, and stored as its SHA-256 only; 256 random bits need no slow hash. A share
never outlives its conversation, whose turns hold its pictures.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from shared.chat import Generation, PictureRef
from shared.ids import new_id
from shared.store.connection import Collection, Document, translated
from shared.store.times import moment, now

_TOKEN_BYTES = 32
_MOST_LISTED = 1000


@dataclass(frozen=True, slots=True)
class SharedTurn:
    question: str
    answer: str
    pictures: tuple[PictureRef, ...]  # beside the question


@dataclass(frozen=True, slots=True)
class Share:
    """As its owner sees it in a list; `id` is no secret and opens nothing."""

    id: str
    conversation_id: str
    title: str
    hint: str  # the token's last characters, so that people tell their links apart
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """As everybody sees it who has the link."""

    title: str
    turns: tuple[SharedTurn, ...]
    created_at: datetime


class Shares:
    def __init__(self, collection: Collection) -> None:
        self._shares = collection

    @translated
    async def ensure_indexes(self) -> None:
        for field in ("user_id", "conversation_id"):
            await self._shares.create_index(field)

    @translated
    async def add(self, user_id: str, conversation_id: str, title: str, turns: Sequence[Generation]) -> str:
        """The link's token. MongoDB's documents end at 16 MB: `turns` come bounded."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        document: Document = {
            "_id": _digest(token),
            "share_id": new_id(),
            "user_id": user_id,
            "conversation_id": conversation_id,
            "title": title,
            "hint": token[-4:],
            "created_at": now(),
            "turns": [
                {"question": turn.question, "answer": turn.answer, "pictures": [asdict(each) for each in turn.pictures]}
                for turn in turns
            ],
        }
        await self._shares.insert_one(document)
        return token

    @translated
    async def open(self, token: str) -> Snapshot | None:
        document = await self._shares.find_one({"_id": _digest(token)})
        return _snapshot(document) if document else None

    @translated
    async def of_user(self, user_id: str) -> list[Share]:
        """The last first."""
        cursor = self._shares.find({"user_id": user_id}, {"turns": 0}).limit(_MOST_LISTED)
        return sorted([_share(document) async for document in cursor], key=lambda share: share.id, reverse=True)

    @translated
    async def snapshot(self, share_id: str, user_id: str) -> Snapshot | None:
        """What a link of this user shows."""
        document = await self._shares.find_one({"share_id": share_id, "user_id": user_id})
        return _snapshot(document) if document else None

    @translated
    async def revoke(self, share_id: str, user_id: str) -> bool:
        """False if it is not this user's, or gone already."""
        return (await self._shares.delete_one({"share_id": share_id, "user_id": user_id})).deleted_count == 1

    @translated
    async def remove_of(self, conversation_id: str) -> None:
        """All links to a conversation that is about to go."""
        await self._shares.delete_many({"conversation_id": conversation_id})


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _share(document: Document) -> Share:
    return Share(
        id=document["share_id"],
        conversation_id=document["conversation_id"],
        title=document["title"],
        hint=document["hint"],
        created_at=moment(document["created_at"]),
    )


def _snapshot(document: Document) -> Snapshot:
    turns = tuple(
        SharedTurn(turn["question"], turn["answer"], tuple(PictureRef(**each) for each in turn["pictures"]))
        for turn in document["turns"]
    )
    return Snapshot(document["title"], turns, moment(document["created_at"]))
