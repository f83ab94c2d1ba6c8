"""What was made of documents: a document for each page and for each chunk of one, under ids that are their places.

So whoever reads a page again writes the same rows again, and nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from shared.documents import FIRST_INDEX, Page, Passage, packed, unpacked
from shared.store.blobs import Blobs
from shared.store.connection import Collection, Document, translated
from shared.store.leftovers import unique

_MOST_OF_ONE_PERSON = 50_000  # chunks
_BATCH = 500  # chunks: a call of the store has 5 s
_IDS = ("_id", "user_id", "document_id", "index")


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
        """Chunks first: a page that is there has them all. What an earlier attempt wrote is there and stays."""
        await self.put_passages(user_id, passages)
        await _insert_missing(self._pages, [_page_row(document_id, user_id, page)])

    @translated
    async def put_passages(self, user_id: str, passages: Sequence[Passage]) -> None:
        """Those of one page, all of one index. What an earlier attempt wrote is there and stays."""
        await _insert_missing(self._chunks, [_chunk_row(user_id, number, each) for number, each in enumerate(passages)])

    @translated
    async def page(self, document_id: str, user_id: str, number: int) -> Page | None:
        row = await self._pages.find_one({"_id": _page_id(document_id, number), "user_id": user_id})
        return _page(row) if row else None

    @translated
    async def passages(self, user_id: str, document_ids: Sequence[str]) -> list[Passage]:
        """Of these documents of this person's, in order, whatever their index."""
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
    async def pages_with(self, document_id: str, index: str) -> set[int]:
        """Numbers of the pages that have a chunk of this index."""
        cursor = self._chunks.find({"document_id": document_id}, {"page": 1, "index": 1})
        return {row["page"] async for row in cursor if row.get("index", FIRST_INDEX) == index}

    @translated
    async def digest(self, document_id: str, index: str = FIRST_INDEX) -> str:
        """sha256 of all pages of a document and their chunks of this index, its own id left out: equal files have
        equal ones."""
        hashed = hashlib.sha256()
        for collection in (self._pages, self._chunks):
            rows = [row async for row in collection.find({"document_id": document_id})]
            for row in sorted(rows, key=lambda row: str(row["_id"])):
                if collection is self._chunks and row.get("index", FIRST_INDEX) != index:
                    continue
                place = str(row["_id"]).removeprefix(document_id)
                values = {name: value for name, value in row.items() if name not in _IDS}
                hashed.update(repr((place, sorted(values.items()))).encode())
        return hashed.hexdigest()

    @translated
    async def keep_index(self, document_id: str, index: str) -> None:
        """Remove what other indexes have of it."""
        cursor = self._chunks.find({"document_id": document_id}, {"index": 1})
        others = [row["_id"] async for row in cursor if row.get("index", FIRST_INDEX) != index]
        for begin in range(0, len(others), _BATCH):
            await self._chunks.delete_many({"_id": {"$in": others[begin : begin + _BATCH]}})

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
        "_id": _chunk_id(passage, number),
        "document_id": passage.document_id,
        "user_id": user_id,
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "stems": " ".join(passage.stems),
        "vector": passage.vector,
        "index": passage.index,
    }


def _chunk_id(passage: Passage, number: int) -> str:
    """Of its place in its index; the first one had no name."""
    page = _page_id(passage.document_id, passage.page)
    if passage.index == FIRST_INDEX:
        return f"{page}/{number:04d}"
    return f"{page}/{hashlib.sha256(passage.index.encode()).hexdigest()[:12]}/{number:04d}"


def _passage(row: Document) -> Passage:
    place = row["document_id"], row["page"], row["start"], row["end"]
    return Passage(*place, tuple(row["stems"].split()), bytes(row["vector"]), row.get("index", FIRST_INDEX))


async def _insert_missing(collection: Collection, rows: Sequence[Document]) -> None:
    """The embedded store can insert bytes, but replace none."""
    ids = [row["_id"] for row in rows]
    present = {row["_id"] async for row in collection.find({"_id": {"$in": ids}}, {"_id": 1})}
    if missing := [row for row in rows if row["_id"] not in present]:
        await collection.insert_many(missing)
