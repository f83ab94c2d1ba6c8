"""Everything the collections hold about one person, found for a download and removed with the account or when old.

What a person wrote or was answered, and where and how they log in, hangs on their id: PERSONAL names each such
collection. Pictures go another way (pictures.py), because two people may have sent the same one, and so do DOCUMENTS
(documents.py), with theirs. Nothing of a person is elsewhere: WITHOUT_PEOPLE has ids, hashes and numbers only. A test
compares all with what the store really makes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from pymongo.errors import PyMongoError

from shared.chat import GenerationState, Origin
from shared.errors import StoreUnavailable
from shared.store.connection import Collection, Database, Document, translated
from shared.store.documents import Documents
from shared.store.pictures import Pictures
from shared.store.search import Search
from shared.store.shares import Shares
from shared.store.votes import Votes

# Whose a document is. What lets somebody in, or others read, goes first.
PERSONAL = {
    "sessions": "user_id",
    "keys": "user_id",
    "resets": "user_id",
    "shares": "user_id",
    "second_steps": "_id",
    "recovery_codes": "user_id",
    "generations": "user_id",
    "conversations": "user_id",
    "search": "user_id",  # after the turns it is made of
    "votes": "user_id",
    "comparisons": "user_id",
    "document_collections": "user_id",
    "reindexings": "user_id",
    "digests": "user_id",  # with the articles they are made of
    "grants": "owner_id",
}
PERSONAL_BY_PREFIX = frozenset({"users", "usage", "fairness"})  # users: shared/store/users.py; the others: below
SHARED = frozenset({"pictures", "blobs"})  # removed when nothing refers to them (shared/store/leftovers.py)
DOCUMENTS = frozenset({"documents", "document_pages", "document_chunks"})  # shared/store/documents.py
WITHOUT_PEOPLE = frozenset({"workers", "throttle", "audit", "audit_heads"}) | {
    "pairings",  # who made one is an id
    "adapter_versions",  # who pushed one is an id
    "adapter_aliases",
    "adapter_bases",
}

_BATCH = 200  # documents: a call of the store has 5 s
_API = [str(origin) for origin in Origin if origin.is_api]
_UNFINISHED = [str(state) for state in GenerationState if not state.is_final]


@dataclass(frozen=True, slots=True)
class CountedTokens:
    """`begun_at` has the zone its day or minute was cut in."""

    begun_at: datetime
    tokens: int

    @property
    def span(self) -> str:
        return "day" if self.begun_at.utcoffset() else "minute"


class PersonalData:
    def __init__(
        self,
        database: Database,
        pictures: Pictures,
        search: Search,
        shares: Shares,
        votes: Votes,
        documents: Documents,
    ) -> None:
        self._database = database
        self._pictures = pictures
        self._search = search
        self._shares = shares
        self._votes = votes
        self._documents = documents
        self._generations = database["generations"]
        self._conversations = database["conversations"]

    @translated
    async def ensure_indexes(self) -> None:
        await self._generations.create_index("finished_at")
        await self._conversations.create_index("updated_at")

    # What a download reads. Ids only, so that thousands of them fit: the documents are fetched a few at a time.

    async def conversation_ids(self, user_id: str) -> list[str]:
        """Oldest first, of all branches of all conversations; the lists below too."""
        return await self._ids("conversations", {"user_id": user_id})

    async def turn_ids(self, conversation_id: str) -> list[str]:
        return await self._ids("generations", {"conversation_id": conversation_id})

    async def api_answer_ids(self, user_id: str) -> list[str]:
        """What came through /v1, which belongs to no conversation."""
        return await self._ids("generations", {"user_id": user_id, "origin": {"$in": _API}})

    async def document_answer_ids(self, user_id: str) -> list[str]:
        """What was written about documents, which belongs to no conversation either."""
        return await self._ids("generations", {"user_id": user_id, "origin": str(Origin.DOCUMENT)})

    async def unfinished_ids(self, user_id: str) -> list[str]:
        """Answers that are held, wait or run."""
        return await self._ids("generations", {"user_id": user_id, "state": {"$in": _UNFINISHED}})

    async def usage(self, user_id: str) -> AsyncIterator[CountedTokens]:
        """Raises StoreUnavailable."""
        try:
            async for row in self._database["usage"].find(_usage_of(user_id)).batch_size(_BATCH):
                begun_at = datetime.fromisoformat(row["_id"].partition("/")[2])
                yield CountedTokens(begun_at, int(row["tokens"]))
        except PyMongoError as error:
            raise StoreUnavailable(f"{type(error).__name__} in usage") from error

    # What is removed. All of it may be done again, and by several nodes at once.

    async def remove(self, user_id: str) -> None:
        """Everything but the document in `users`. Raises StoreUnavailable: some of it is left."""
        for name, field in PERSONAL.items():
            await self._empty(name, {field: user_id})
        await self._pictures.remove_user(user_id)
        await self._documents.remove_user(user_id)
        await self._empty("usage", _usage_of(user_id))
        await self._remove_tags(user_id)

    async def remove_turns(self, query: Document) -> None:
        """These turns, and the pictures that no other one shows."""
        while found := await self._ids("generations", query, _BATCH):
            shown = await self._shown_in(found)
            await self._pictures.keep(shown)
            await self._remove_many(self._generations, {"_id": {"$in": found}})
            await self._search.remove(found)
            await self._votes.remove(found)
            await self._pictures.let_go(shown)

    async def remove_conversations(self, before: datetime, limit: int) -> int:
        """Those whose last question is older, with their turns; how many there were, at most `limit`."""
        old: Document = {"updated_at": {"$lt": before.timestamp()}}
        found = await self._ids("conversations", old, limit)
        for conversation_id in found:
            # The turns first: what is left of them would not be found again. A question asked at this moment stays,
            # and so does its conversation.
            await self._shares.remove_of(conversation_id)
            turns = {"conversation_id": conversation_id, "created_at": {"$lt": before.timestamp()}}
            await self.remove_turns(turns)
            await self._remove_many(self._conversations, {"_id": conversation_id} | old)
        return len(found)

    async def remove_api_answers(self, before: datetime, limit: int) -> int:
        """Those that ended earlier; how many, at most `limit`."""
        old: Document = {"finished_at": {"$gt": 0.0, "$lt": before.timestamp()}, "origin": {"$in": _API}}
        found = await self._ids("generations", old, limit)
        for begin in range(0, len(found), _BATCH):
            await self.remove_turns({"_id": {"$in": found[begin : begin + _BATCH]}})
        return len(found)

    async def remove_answers(self, origin: Origin, before: datetime, limit: int) -> int:
        """What was asked earlier through this door, which leads to no conversation; how many, at most `limit`."""
        old: Document = {"created_at": {"$lt": before.timestamp()}, "origin": str(origin)}
        found = await self._ids("generations", old, limit)
        for begin in range(0, len(found), _BATCH):
            await self.remove_turns({"_id": {"$in": found[begin : begin + _BATCH]}})
        return len(found)

    async def remove_document(self, document_id: str, user_id: str) -> bool:
        """It, what was made of it, and the answers that a model wrote from it; False: there is no such document. What
        is asked of it at this moment goes with `finish_document_removals`."""
        if not await self._documents.remove(document_id, user_id):
            return False
        await self._remove_answers_from({document_id}, user_id)
        return True

    async def finish_document_removals(self, limit: int) -> None:
        """What somebody wrote about a document while it was removed, and at last its mark."""
        for document_id, user_id in (await self._documents.removed(limit)).items():
            await self._remove_answers_from({document_id}, user_id)
        await self._documents.finish_removals(limit)

    async def _remove_answers_from(self, document_ids: set[str], user_id: str) -> None:
        found = await self._resting_on(document_ids, user_id)
        for begin in range(0, len(found), _BATCH):
            await self.remove_turns({"_id": {"$in": found[begin : begin + _BATCH]}})

    @translated
    async def _resting_on(self, document_ids: set[str], user_id: str) -> list[str]:
        cursor = self._generations.find({"user_id": user_id, "origin": str(Origin.DOCUMENT)}, {"sources": 1})
        return [
            turn["_id"]
            async for turn in cursor
            if not document_ids.isdisjoint(source["document_id"] for source in turn.get("sources", ()))
        ]

    async def remove_comparisons(self, before: datetime, limit: int) -> int:
        """Those that were asked earlier, with their answers; how many, at most `limit`."""
        found = await self._ids("comparisons", {"asked_at": {"$lt": before.timestamp()}}, limit)
        for comparison_id in found:
            await self.remove_turns({"conversation_id": comparison_id})
            await self._remove_many(self._database["comparisons"], {"_id": comparison_id})
        return len(found)

    @translated
    async def _shown_in(self, generation_ids: list[str]) -> list[str]:
        """The pictures of these turns."""
        cursor = self._generations.find({"_id": {"$in": generation_ids}}, {"picture_ids": 1})
        return [picture_id async for turn in cursor for picture_id in turn.get("picture_ids", ())]

    @translated
    async def _ids(self, name: str, query: Document, limit: int = 0) -> list[str]:
        """Sorted, which is in the order they were made; at most `limit` unless it is 0."""
        cursor = self._database[name].find(query, {"_id": 1}).limit(limit)
        return sorted([str(document["_id"]) async for document in cursor])

    async def _empty(self, name: str, query: Document) -> None:
        while found := await self._ids(name, query, _BATCH):
            await self._remove_many(self._database[name], {"_id": {"$in": found}})

    @translated
    async def _remove_many(self, collection: Collection, query: Document) -> None:
        await collection.delete_many(query)

    @translated
    async def _remove_tags(self, user_id: str) -> None:
        fairness = self._database["fairness"]
        lanes = await fairness.distinct("lane")
        await fairness.delete_many({"_id": {"$in": [f"{lane}/{user_id}" for lane in lanes]}})


def _usage_of(user_id: str) -> Document:
    """Its ids are `user_id/begin` ("0" is the character after "/")."""
    return {"_id": {"$gte": f"{user_id}/", "$lt": f"{user_id}0"}}
