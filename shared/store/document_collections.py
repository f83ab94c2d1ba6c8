"""Collections of documents: a name each; which documents lie in one, the documents say (documents.py).

Every call takes the owner's id: a foreign collection and an unknown one look the same.
"""

from __future__ import annotations

from shared.documents import DocumentCollection
from shared.ids import new_id
from shared.store.connection import Collection, Document, translated
from shared.store.times import moment, now

_MOST_ROWS = 1000


class DocumentCollections:
    def __init__(self, collection: Collection) -> None:
        self._collections = collection

    @translated
    async def ensure_indexes(self) -> None:
        await self._collections.create_index("user_id")

    @translated
    async def add(self, user_id: str, name: str) -> DocumentCollection:
        row: Document = {"_id": new_id(), "user_id": user_id, "name": name, "created_at": now()}
        await self._collections.insert_one(row)
        return _collection(row)

    @translated
    async def get(self, collection_id: str, user_id: str) -> DocumentCollection | None:
        row = await self._collections.find_one({"_id": collection_id, "user_id": user_id})
        return _collection(row) if row else None

    @translated
    async def of_user(self, user_id: str) -> list[DocumentCollection]:
        """By name."""
        cursor = self._collections.find({"user_id": user_id}).limit(_MOST_ROWS)
        found = [_collection(row) async for row in cursor]
        return sorted(found, key=lambda collection: (collection.name, collection.id))

    @translated
    async def rename(self, collection_id: str, user_id: str, name: str) -> bool:
        """False if there is no such collection; below too."""
        query = {"_id": collection_id, "user_id": user_id}
        return bool((await self._collections.update_one(query, {"$set": {"name": name}})).matched_count)

    @translated
    async def remove(self, collection_id: str, user_id: str) -> bool:
        """Its name alone."""
        return bool((await self._collections.delete_one({"_id": collection_id, "user_id": user_id})).deleted_count)


def _collection(row: Document) -> DocumentCollection:
    return DocumentCollection(row["_id"], row["user_id"], row["name"], moment(row["created_at"]))
