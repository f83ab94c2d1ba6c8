"""Pictures of people: a document for each upload, which names two blobs (the picture and its thumbnail).

One stays as long as a turn of its owner shows it; an upload that no turn shows goes after a day. Every call takes the
owner's id: a foreign picture and an unknown one look the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.chat import PictureRef
from shared.ids import new_id
from shared.store.blobs import Blobs
from shared.store.connection import Collection, Document, translated
from shared.store.leftovers import Leftovers, unique
from shared.store.times import moment, now

UNUSED_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Picture:
    """As its owner sees it."""

    id: str
    user_id: str
    sha256: str
    thumbnail_sha256: str
    mime: str  # the thumbnail is a JPEG
    width: int  # pixels
    height: int
    size_bytes: int  # both blobs
    alt: str
    created_at: datetime

    @property
    def ref(self) -> PictureRef:
        return PictureRef(self.id, self.sha256, self.width, self.height, self.alt)


@dataclass(frozen=True, slots=True)
class PictureSpace:
    """What one person has uploaded."""

    count: int
    size_bytes: int


class Pictures:
    def __init__(self, collection: Collection, generations: Collection, blobs: Blobs) -> None:
        """`generations`: whose documents refer to pictures."""
        self._pictures = collection
        self._generations = generations
        self._blobs = blobs
        self._leftovers = Leftovers(collection, self._is_used, self._remove)

    @translated
    async def ensure_indexes(self) -> None:
        for field in ("user_id", "sha256", "thumbnail_sha256"):
            await self._pictures.create_index(field)
        await self._leftovers.ensure_indexes()

    @translated
    async def add(
        self, user_id: str, data: bytes, thumbnail: bytes, *, mime: str, width: int, height: int, alt: str
    ) -> Picture:
        """Keep a clean picture (web/pictures/clean.py) for a day, or as long as a turn shows it."""
        document: Document = {
            "_id": new_id(),
            "user_id": user_id,
            "sha256": await self._blobs.put(data),
            "thumbnail_sha256": await self._blobs.put(thumbnail),
            "mime": mime,
            "width": width,
            "height": height,
            "size_bytes": len(data) + len(thumbnail),
            "alt": alt,
            "created_at": now(),
            "look_at": now() + UNUSED_S,
            "revision": 0,
        }
        await self._pictures.insert_one(document)
        return _picture(document)

    @translated
    async def get(self, picture_id: str, user_id: str) -> Picture | None:
        document = await self._pictures.find_one({"_id": picture_id, "user_id": user_id})
        return _picture(document) if document else None

    async def take(self, picture_ids: Sequence[str], user_id: str) -> list[Picture] | None:
        """These, in this order, kept for another day so that a turn may name them; None if one is not this user's."""
        mine: Document = {"_id": {"$in": unique(picture_ids)}, "user_id": user_id}
        if await self._leftovers.keep(mine, UNUSED_S) < len(unique(picture_ids)):
            return None
        found = {picture.id: picture for picture in await self._find(mine)}
        return [found[picture_id] for picture_id in picture_ids] if len(found) == len(unique(picture_ids)) else None

    @translated
    async def describe(self, picture_id: str, user_id: str, alt: str) -> None:
        """What its owner calls it from now on."""
        await self._pictures.update_one({"_id": picture_id, "user_id": user_id}, {"$set": {"alt": alt}})

    @translated
    async def space(self, user_id: str, limit: int) -> PictureSpace:
        """Counted up to `limit` pictures."""
        cursor = self._pictures.find({"user_id": user_id}, {"size_bytes": 1}).limit(limit)
        sizes = [document["size_bytes"] async for document in cursor]
        return PictureSpace(len(sizes), sum(sizes))

    async def of_user(self, user_id: str) -> list[Picture]:
        """The first uploaded first."""
        return sorted(await self._find({"user_id": user_id}), key=lambda picture: picture.id)

    # What goes.

    async def keep(self, picture_ids: Iterable[str]) -> None:
        """Before turns that show them are removed."""
        if ids := unique(picture_ids):
            await self._leftovers.keep({"_id": {"$in": ids}})

    async def let_go(self, picture_ids: Iterable[str]) -> None:
        """After turns that showed them were removed: those that no turn shows any more go at once."""
        if ids := unique(picture_ids):
            await self._leftovers.suspect(ids)
            await self._leftovers.collect(len(ids), ids)

    async def collect(self, limit: int) -> int:
        """Remove what no turn shows, and what no picture names; how many pictures, at most `limit`."""
        removed = await self._leftovers.collect(limit)
        await self._blobs.leftovers.collect(limit)
        return removed

    async def remove_user(self, user_id: str) -> None:
        """All of them, shown or not."""
        for document in await self._documents({"user_id": user_id}):
            while not await self._remove(document):  # kept meanwhile: it goes nevertheless
                again = await self._documents({"_id": document["_id"]})
                if not again:
                    break
                document = again[0]

    async def _remove(self, document: Document) -> bool:
        blobs = unique((document["sha256"], document["thumbnail_sha256"]))
        await self._blobs.leftovers.keep({"_id": {"$in": blobs}})
        try:
            return await self._leftovers.remove(document)
        finally:
            await self._blobs.leftovers.suspect(blobs)
            await self._blobs.leftovers.collect(len(blobs), blobs)

    @translated
    async def _is_used(self, document: Document) -> bool:
        shown = {"user_id": document["user_id"], "picture_ids": document["_id"]}
        return await self._generations.find_one(shown, {"_id": 1}) is not None

    async def _find(self, query: Document) -> list[Picture]:
        return [_picture(document) for document in await self._documents(query)]

    @translated
    async def _documents(self, query: Document) -> list[Document]:
        return [document async for document in self._pictures.find(query)]


def _picture(document: Document) -> Picture:
    return Picture(
        id=document["_id"],
        user_id=document["user_id"],
        sha256=document["sha256"],
        thumbnail_sha256=document["thumbnail_sha256"],
        mime=document["mime"],
        width=document["width"],
        height=document["height"],
        size_bytes=document["size_bytes"],
        alt=document["alt"],
        created_at=moment(document["created_at"]),
    )
