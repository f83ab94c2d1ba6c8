"""Conversations: a title, an owner, and the leaf of the visible branch. Their turns are generations.

Every call takes the owner's id: a foreign conversation and an unknown one look the same (None or False).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime

from shared.chat import Conversation, ConversationSettings, Style
from shared.store.connection import Collection, Document, translated
from shared.store.times import moment, now


class Conversations:
    def __init__(self, collection: Collection) -> None:
        self._conversations = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._conversations.create_index("user_id")

    @translated
    async def create(
        self,
        conversation_id: str,
        user_id: str,
        title: str,
        leaf_id: str,
        adapter: str = "",
        settings: ConversationSettings | None = None,
        *,
        created_at: datetime | None = None,
    ) -> None:
        """Does nothing if it exists (the same first message sent twice). `created_at`: if it began elsewhere."""
        used_at = now()
        await self._conversations.update_one(
            {"_id": conversation_id},
            {
                "$setOnInsert": {
                    "user_id": user_id,
                    "title": title,
                    "leaf_id": leaf_id,
                    "adapter": adapter,
                    "settings": asdict(settings or ConversationSettings()),
                    "created_at": created_at.timestamp() if created_at else used_at,
                    "updated_at": used_at,
                }
            },
            upsert=True,
        )

    @translated
    async def get(self, conversation_id: str, user_id: str) -> Conversation | None:
        document = await self._conversations.find_one({"_id": conversation_id, "user_id": user_id})
        return _conversation(document) if document else None

    @translated
    async def latest(self, user_id: str, limit: int = 200) -> list[Conversation]:
        """The user's conversations, the last used first."""
        cursor = self._conversations.find({"user_id": user_id}).sort([("updated_at", -1), ("_id", -1)]).limit(limit)
        return [_conversation(document) async for document in cursor]

    @translated
    async def some(self, user_id: str, tag: str, skip: int, limit: int) -> list[Conversation]:
        """Of those with this tag, or of all if it is empty: `limit` after the first `skip`, the last used first."""
        cursor = self._conversations.find(_tagged(user_id, tag)).sort([("updated_at", -1), ("_id", -1)])
        return [_conversation(document) async for document in cursor.skip(skip).limit(limit)]

    @translated
    async def count(self, user_id: str, tag: str) -> int:
        return len(await self._conversations.find(_tagged(user_id, tag), {"_id": 1}).to_list(None))

    @translated
    async def tags(self, user_id: str) -> list[str]:
        """All that this user gave, in the order of the alphabet."""
        cursor = self._conversations.find({"user_id": user_id}, {"tags": 1})
        return sorted({tag async for document in cursor for tag in document.get("tags", ())})

    @translated
    async def set_tags(self, conversation_id: str, user_id: str, tags: Iterable[str]) -> None:
        """All at once: the embedded store adds nothing to a list that is not there. Of two tabs the last wins."""
        await self._conversations.update_one(
            {"_id": conversation_id, "user_id": user_id}, {"$set": {"tags": list(tags)}}
        )

    @translated
    async def move_leaf(
        self, conversation_id: str, user_id: str, expected: str | None, leaf_id: str, *, is_use: bool = True
    ) -> bool:
        """Point at a new leaf if the leaf is still `expected`; False if someone else was quicker. Looking at another
        branch is no use of it: it keeps its place in the list."""
        update: Document = {"leaf_id": leaf_id} | ({"updated_at": now()} if is_use else {})
        result = await self._conversations.update_one(
            {"_id": conversation_id, "user_id": user_id, "leaf_id": expected}, {"$set": update}
        )
        return result.matched_count == 1

    @translated
    async def pin(self, conversation_id: str, user_id: str, turn_ids: Sequence[str]) -> None:
        """Keep these turns in the prompt of what is asked from now on. Whole: the embedded store adds to no list that
        is not there yet."""
        await self._conversations.update_one(
            {"_id": conversation_id, "user_id": user_id}, {"$set": {"pins": list(turn_ids)}}
        )

    @translated
    async def choose(self, conversation_id: str, user_id: str, adapter: str, settings: ConversationSettings) -> None:
        """For its next questions: the name of an adapter, or "", and the settings."""
        await self._conversations.update_one(
            {"_id": conversation_id, "user_id": user_id},
            {"$set": {"adapter": adapter, "settings": asdict(settings)}},
        )

    @translated
    async def rename(self, conversation_id: str, user_id: str, title: str) -> bool:
        result = await self._conversations.update_one(
            {"_id": conversation_id, "user_id": user_id}, {"$set": {"title": title}}
        )
        return result.matched_count == 1

    @translated
    async def delete(self, conversation_id: str, user_id: str) -> bool:
        result = await self._conversations.delete_one({"_id": conversation_id, "user_id": user_id})
        return result.deleted_count == 1


def _tagged(user_id: str, tag: str) -> Document:
    return {"user_id": user_id} | ({"tags": tag} if tag else {})


def _conversation(document: Document) -> Conversation:
    return Conversation(
        id=document["_id"],
        user_id=document["user_id"],
        title=document["title"],
        leaf_id=document["leaf_id"],
        created_at=moment(document["created_at"]),
        updated_at=moment(document["updated_at"]),
        adapter=document.get("adapter", ""),
        settings=_settings(document.get("settings", {})),
        pins=tuple(document.get("pins", ())),
        tags=tuple(document.get("tags", ())),
    )


def _settings(document: Document) -> ConversationSettings:
    return ConversationSettings(**{**document, "style": Style(document.get("style", Style.AS_IS))})
