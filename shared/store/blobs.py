"""Bytes by their sha256, each kept once, whoever brings them and however often.

A blob is one document, not a file of GridFS: so it appears, is kept and goes in one atomic write (leftovers.py). What
is larger than MongoDB's 16 MB lies here in pieces, which the document that refers to it names in order (adapters.py).
"""

from __future__ import annotations

import hashlib

from shared.store.connection import Collection, Document, translated
from shared.store.leftovers import Leftovers
from shared.store.times import now

MOST_BYTES = 15 << 20

_UNUSED_S = 600.0  # between a blob and the first document that refers to it lies one write


class Blobs:
    def __init__(
        self,
        collection: Collection,
        pictures: Collection,
        adapter_versions: Collection,
        documents: Collection,
        document_pages: Collection,
    ) -> None:
        """All but `collection`: whose documents refer to blobs."""
        self._blobs = collection
        self._referring = (
            (pictures, "sha256"),
            (pictures, "thumbnail_sha256"),
            (documents, "sha256"),
            (document_pages, "picture"),
            (adapter_versions, "blobs"),
        )
        self.leftovers = Leftovers(collection, self._is_used)

    async def ensure_indexes(self) -> None:
        await self.leftovers.ensure_indexes()

    @translated
    async def put(self, data: bytes) -> str:
        """Its sha256. Refer to it within 10 minutes."""
        assert len(data) <= MOST_BYTES
        sha256 = hashlib.sha256(data).hexdigest()
        kept: Document = {"look_at": now() + _UNUSED_S}
        found = await self._blobs.update_one({"_id": sha256}, {"$set": kept, "$inc": {"revision": 1}})
        if not found.matched_count:  # the bytes travel only if they are new
            await self._blobs.update_one(
                {"_id": sha256}, {"$set": kept, "$inc": {"revision": 1}, "$setOnInsert": {"data": data}}, upsert=True
            )
        return sha256

    @translated
    async def get(self, sha256: str) -> bytes | None:
        document = await self._blobs.find_one({"_id": sha256}, {"data": 1})
        return bytes(document["data"]) if document else None

    @translated
    async def _is_used(self, document: Document) -> bool:
        for collection, name in self._referring:
            if await collection.find_one({name: document["_id"]}, {"_id": 1}):
                return True
        return False
