"""Documents that stay as long as something refers to them, removed when nothing does any more, never a moment earlier.

Each has a time from which somebody should look whether it is still referred to (`look_at`, 0: nobody need), and a
`revision` that every change counts up. Whoever is about to refer to it sets the time ahead first (`keep`); whoever has
just taken a reference away, to now (`suspect`). `collect` asks about those whose time has come, and then lets one rest
or removes it, but only if its revision is still what it was before the question. So a reference made in between is
always seen, whoever dies when.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from shared.store.connection import Collection, Document, translated
from shared.store.times import now

_WHILE_REMOVED_S = 60.0  # for what is done between `keep` and `suspect`: a few calls of at most 5 s

Asked = Callable[[Document], Awaitable[bool]]


class Leftovers:
    def __init__(self, collection: Collection, is_used: Asked, remove: Asked | None = None) -> None:
        """`is_used`: whether something refers to this document. `remove`: instead of the plain one, around it."""
        self._documents = collection
        self._is_used = is_used
        self._remove = remove or self.remove

    @translated
    async def ensure_indexes(self) -> None:
        await self._documents.create_index("look_at")

    @translated
    async def keep(self, query: Document, for_s: float = _WHILE_REMOVED_S) -> int:
        """None of these goes for so long; how many there are."""
        later = {"$set": {"look_at": now() + for_s}, "$inc": {"revision": 1}}
        return (await self._documents.update_many(query, later)).matched_count

    @translated
    async def suspect(self, ids: Sequence[str]) -> None:
        """A reference to each of these was taken away."""
        at_once = {"$set": {"look_at": now()}, "$inc": {"revision": 1}}
        await self._documents.update_many({"_id": {"$in": list(ids)}}, at_once)

    async def collect(self, limit: int, ids: Sequence[str] | None = None) -> int:
        """Look at those whose time has come, at most `limit`, of all or of these; how many were removed."""
        removed = 0
        for document in await self._due(limit, {} if ids is None else {"_id": {"$in": list(ids)}}):
            if await self._is_used(document):
                await self._rest(document)
            else:
                removed += await self._remove(document)
        return removed

    @translated
    async def remove(self, document: Document) -> bool:
        """False: it was changed meanwhile."""
        fence = {"_id": document["_id"], "revision": document["revision"]}
        return (await self._documents.delete_one(fence)).deleted_count == 1

    @translated
    async def _due(self, limit: int, query: Document) -> list[Document]:
        cursor = self._documents.find({"look_at": {"$gt": 0.0, "$lte": now()}} | query, {"data": 0}).limit(limit)
        return await cursor.to_list(limit)

    @translated
    async def _rest(self, document: Document) -> None:
        fence = {"_id": document["_id"], "revision": document["revision"]}
        await self._documents.update_one(fence, {"$set": {"look_at": 0.0}, "$inc": {"revision": 1}})


def unique(values: Iterable[str]) -> list[str]:
    """Each once, in order."""
    return list(dict.fromkeys(values))
