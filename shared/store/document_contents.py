"""What was made of documents: a document for each page and for each chunk of one, under ids that are their places.

So whoever reads a page again writes the same rows again, and nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from shared.documents import Page, Passage, packed, unpacked
from shared.store.blobs import Blobs
from shared.store.connection import Collection, Document, translated
from shared.store.leftovers import unique

_MOST_OF_ONE_PERSON = 50_000  # chunks


class DocumentContents:
    def __init__(self, pages: Collection, chunks: Collection, blobs: Blobs) -> None:
        self._pages = pages
        self._chunks = chunks
        self._blobs = blobs

    @translated
    async def ensure_indexes(self) -> None:
        for field in ("user_id", "document_id", "picture"):
            await self._pages.create_index(field)
        for field in ("user_id", "document_id"):
            await self._chunks.create_index(field)

    @translated
    async def put_page(self, document_id: str, user_id: str, page: Page, passages: Sequence[Passage]) -> None:
        """Chunks first: a page that is there has them all. What an earlier attempt wrote is there and stays: the
        embedded store can insert bytes, but replace none."""
        chunks = [_chunk_row(user_id, number, passage) for number, passage in enumerate(passages)]
        for collection, rows in ((self._chunks, chunks), (self._pages, [_page_row(document_id, user_id, page)])):
            ids = [row["_id"] for row in rows]
            present = {row["_id"] async for row in collection.find({"_id": {"$in": ids}}, {"_id": 1})}
            if missing := [row for row in rows if row["_id"] not in present]:
                await collection.insert_many(missing)

    @translated
    async def page(self, document_id: str, user_id: str, number: int) -> Page | None:
        row = await self._pages.find_one({"_id": _page_id(document_id, number), "user_id": user_id})
        return _page(row) if row else None

    @translated
    async def passages(self, user_id: str, document_ids: Sequence[str]) -> list[Passage]:
        """Of these documents of this person's, in order."""
        query = {"user_id": user_id, "document_id": {"$in": unique(document_ids)}}
        cursor = self._chunks.find(query).limit(_MOST_OF_ONE_PERSON)
        rows = sorted([row async for row in cursor], key=lambda row: str(row["_id"]))
        return [_passage(row) for row in rows]

    @translated
    async def texts(self, user_id: str, document_ids: Sequence[str]) -> dict[tuple[str, int], str]:
        """Of the pages of these documents of this person's, by document and number."""
        query = {"user_id": user_id, "document_id": {"$in": unique(document_ids)}}
        cursor = self._pages.find(query, {"document_id": 1, "number": 1, "text": 1})
        return {(row["document_id"], row["number"]): row["text"] async for row in cursor}

    @translated
    async def has_text(self, document_id: str) -> bool:
        return await self._chunks.find_one({"document_id": document_id}, {"_id": 1}) is not None

    @translated
    async def notes(self, document_id: str) -> list[str]:
        """Of its pages whose letters could not be read: why."""
        cursor = self._pages.find({"document_id": document_id}, {"note": 1})
        return [row["note"] async for row in cursor if row.get("note")]

    @translated
    async def digest(self, document_id: str) -> str:
        """sha256 of all pages and chunks of a document, its own id left out: equal files have equal ones."""
        hashed = hashlib.sha256()
        for collection in (self._pages, self._chunks):
            rows = [row async for row in collection.find({"document_id": document_id})]
            for row in sorted(rows, key=lambda row: str(row["_id"])):
                place = str(row["_id"]).removeprefix(document_id)
                values = {name: value for name, value in row.items() if name not in ("_id", "user_id", "document_id")}
                hashed.update(repr((place, sorted(values.items()))).encode())
        return hashed.hexdigest()

    @translated
    async def remove(self, document_ids: Sequence[str]) -> None:
        await self._remove({"document_id": {"$in": list(document_ids)}})

    @translated
    async def remove_user(self, user_id: str) -> None:
        await self._remove({"user_id": user_id})

    async def _remove(self, query: Document) -> None:
        cursor = self._pages.find(query, {"picture": 1})
        pictures = unique([row["picture"] async for row in cursor if row["picture"]])
        await self._blobs.leftovers.keep({"_id": {"$in": pictures}})
        await self._chunks.delete_many(query)
        await self._pages.delete_many(query)
        await self._blobs.leftovers.suspect(pictures)
        await self._blobs.leftovers.collect(len(pictures), pictures)


def _page_id(document_id: str, number: int) -> str:
    return f"{document_id}/{number:05d}"


def _page_row(document_id: str, user_id: str, page: Page) -> Document:
    return {
        "_id": _page_id(document_id, page.number),
        "document_id": document_id,
        "user_id": user_id,
        "number": page.number,
        "text": page.text,
        "words": packed(page.words),
        "picture": page.picture,
        "width": page.width,
        "height": page.height,
        "note": page.note,
    }


def _page(row: Document) -> Page:
    words = unpacked(bytes(row["words"]))
    return Page(row["number"], row["text"], words, row["picture"], row["width"], row["height"], row.get("note"))


def _chunk_row(user_id: str, number: int, passage: Passage) -> Document:
    return {
        "_id": f"{_page_id(passage.document_id, passage.page)}/{number:04d}",
        "document_id": passage.document_id,
        "user_id": user_id,
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "stems": " ".join(passage.stems),
        "vector": passage.vector,
    }


def _passage(row: Document) -> Passage:
    stems = tuple(row["stems"].split())
    return Passage(row["document_id"], row["page"], row["start"], row["end"], stems, bytes(row["vector"]))
