"""Documents of people, and who reads them: one document an upload; its pages and chunks are document_contents.py.

Every call of a person takes the owner's id: a foreign document and an unknown one look the same. How a worker claims
one is claims.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.documents import FIRST_INDEX, Document, DocumentKind, DocumentState
from shared.ids import new_id
from shared.store import connection
from shared.store.blobs import Blobs
from shared.store.claims import MOST_ROWS, Claims
from shared.store.connection import Collection, translated
from shared.store.document_contents import DocumentContents
from shared.store.times import moment, now

_LATE_WRITES_S = 20 * 60.0  # a worker that was frozen may write a page so long after its document was removed
_SHOWN = {"$in": [str(state) for state in DocumentState if state is not DocumentState.REMOVED]}


@dataclass(frozen=True, slots=True)
class DocumentSpace:
    """What one person has uploaded."""

    count: int
    size_bytes: int


class Documents(Claims[Document]):
    def __init__(
        self, collection: Collection, pages: Collection, chunks: Collection, reindexings: Collection, blobs: Blobs
    ) -> None:
        super().__init__(collection, _document)
        self._reindexings = reindexings
        self._documents = collection
        self._blobs = blobs
        self.contents = DocumentContents(pages, chunks, blobs)

    @translated
    async def ensure_indexes(self) -> None:
        for field in ("user_id", "sha256", "state"):
            await self._documents.create_index(field)
        await self.contents.ensure_indexes()

    # What people do.

    @translated
    async def add(self, user_id: str, name: str, kind: DocumentKind, data: bytes, tag: float) -> Document:
        """Keep a file until a worker reads it. `tag`: its start tag in the lane (shared/store/fairness.py)."""
        document: dict[str, Any] = {
            "_id": new_id(),
            "user_id": user_id,
            "name": name,
            "kind": str(kind),
            "sha256": await self._blobs.put(data),
            "size_bytes": len(data),
            "state": str(DocumentState.WAITING),
            "tag": tag,
            "attempt": 0,
            "stalled": 0,
            "worker_id": None,
            "page_count": 0,
            "pages_done": 0,
            "error_code": None,
            "error_facts": {},
            "index_digest": None,
            "created_at": now(),
            "permit_at": now(),
            "begun_at": None,
            "begun_with": 0,
            "pages_unread": 0,
            "collection_id": None,
        }
        await self._documents.insert_one(document)
        return _document(document)

    @translated
    async def get(self, document_id: str, user_id: str) -> Document | None:
        found = await self._documents.find_one({"_id": document_id, "user_id": user_id, "state": _SHOWN})
        return _document(found) if found else None

    @translated
    async def of_user(self, user_id: str) -> list[Document]:
        """The last uploaded first."""
        cursor = self._documents.find({"user_id": user_id, "state": _SHOWN}).limit(MOST_ROWS)
        return sorted([_document(row) async for row in cursor], key=lambda document: document.id, reverse=True)

    @translated
    async def with_file(self, user_id: str, sha256: str) -> Document | None:
        """This person's document of the same bytes, unless it could not be read."""
        query = {"user_id": user_id, "sha256": sha256, "state": _SHOWN}
        cursor = self._documents.find(query).limit(MOST_ROWS)
        found = [_document(row) async for row in cursor]
        return next((document for document in found if document.state is not DocumentState.FAILED), None)

    @translated
    async def space(self, user_id: str, limit: int) -> DocumentSpace:
        """Counted up to `limit` documents."""
        query = {"user_id": user_id, "state": _SHOWN}
        sizes = [row["size_bytes"] async for row in self._documents.find(query, {"size_bytes": 1}).limit(limit)]
        return DocumentSpace(len(sizes), sum(sizes))

    @translated
    async def collect(self, document_id: str, user_id: str, collection_id: str | None) -> bool:
        """Into this collection and out of the one it lay in; None: into no other. False: there is no such document."""
        query = {"_id": document_id, "user_id": user_id, "state": _SHOWN}
        return bool((await self._documents.update_one(query, {"$set": {"collection_id": collection_id}})).matched_count)

    @translated
    async def scatter(self, user_id: str, collection_id: str) -> None:
        """All of this collection's out of it."""
        query = {"user_id": user_id, "collection_id": collection_id}
        await self._documents.update_many(query, {"$set": {"collection_id": None}})

    # What workers do, beside what is done with every job.

    @translated
    async def counted(self, document_id: str, attempt: int, page_count: int) -> bool:
        """How many pages there are. False if another attempt owns the document now, or nobody; those below too."""
        return await self._change(document_id, attempt, {"page_count": page_count})

    @translated
    async def page_done(self, document_id: str, attempt: int, number: int) -> bool:
        """All that was made of this page and those before it is kept."""
        return await self._change(document_id, attempt, {"pages_done": number, "stalled": 0})

    @translated
    async def finish(
        self, document_id: str, attempt: int, index_digest: str, *, index: str = FIRST_INDEX, pages_unread: int = 0
    ) -> bool:
        """`index`: of its passages, which are searched from now on."""
        changes = {"state": str(DocumentState.READY), "worker_id": None, "index_digest": index_digest, "index": index}
        return await self._change(document_id, attempt, changes | {"pages_unread": pages_unread})

    @translated
    async def switch_index(self, document_id: str, before: str, after: str, index_digest: str) -> bool:
        """Search the passages of another index, all of which are there, in one step. False: it is removed, or
        searched by another one than `before`."""
        found = await self._documents.find_one({"_id": document_id, "state": str(DocumentState.READY)}, {"index": 1})
        if not found or found.get("index", FIRST_INDEX) != before:
            return False
        query: dict[str, Any] = {"_id": document_id, "state": str(DocumentState.READY)}
        query |= {"index": before} if "index" in found else {"index": {"$exists": False}}
        changes = {"index": after, "index_digest": index_digest}
        return bool((await self._documents.update_one(query, {"$set": changes})).matched_count)

    @translated
    async def indexed_otherwise(self, index: str) -> list[Document]:
        """All that are ready, of everybody, and searched by another index than this one."""
        cursor = self._documents.find({"state": str(DocumentState.READY)})
        return [_document(row) async for row in cursor if row.get("index", FIRST_INDEX) != index]

    def _begun(self, row: connection.Document) -> dict[str, Any]:
        return {"begun_with": row["pages_done"]}

    # What goes.

    @translated
    async def remove(self, document_id: str, user_id: str) -> bool:
        """Name, file, pages, chunks; False if there is no such document. A worker that reads it stops at its page."""
        gone = {"state": str(DocumentState.REMOVED), "removed_at": now(), "name": "", "index_digest": None}
        gone |= {"collection_id": None}
        query = {"_id": document_id, "user_id": user_id, "state": _SHOWN}
        if not (await self._documents.update_one(query, {"$set": gone})).matched_count:
            return False
        await self._empty([document_id])
        return True

    @translated
    async def removed(self, limit: int) -> dict[str, str]:
        """Whose marks are still there: their owners by their ids."""
        cursor = self._documents.find({"state": str(DocumentState.REMOVED)}, {"user_id": 1}).limit(limit)
        return {row["_id"]: row["user_id"] async for row in cursor}

    @translated
    async def finish_removals(self, limit: int, after_s: float = _LATE_WRITES_S) -> int:
        """Again, what was removed, and at last its mark; how many marks. Run it now and then, as often as you like."""
        query = {"state": str(DocumentState.REMOVED)}
        rows = [row async for row in self._documents.find(query, {"removed_at": 1}).limit(limit)]
        await self._empty([row["_id"] for row in rows])
        overdue = [row["_id"] for row in rows if row["removed_at"] <= now() - after_s]
        return (await self._documents.delete_many({"_id": {"$in": overdue}})).deleted_count if overdue else 0

    @translated
    async def remove_user(self, user_id: str) -> None:
        """All of them. What a worker writes afterwards goes when this is called again."""
        rows = [row["_id"] async for row in self._documents.find({"user_id": user_id}, {"_id": 1})]
        await self._empty(rows)
        await self._documents.delete_many({"_id": {"$in": rows}})
        await self.contents.remove_user(user_id)

    async def _empty(self, document_ids: Sequence[str]) -> None:
        """Whoever dies in between: what is left is found again by `finish_removals`, blobs by their own sweep."""
        for document_id in document_ids:
            found = await self._documents.find_one({"_id": document_id}, {"sha256": 1})
            file = found.get("sha256") if found else None
            if file:
                await self._blobs.leftovers.keep({"_id": file})
                await self._documents.update_one({"_id": document_id}, {"$set": {"sha256": None}})
            await self._reindexings.delete_one({"_id": document_id})
            await self.contents.remove([document_id])
            if file:
                await self._blobs.leftovers.suspect([file])
                await self._blobs.leftovers.collect(1, [file])


def _document(row: connection.Document) -> Document:
    begun_at = row["begun_at"]
    return Document(
        id=row["_id"],
        user_id=row["user_id"],
        name=row["name"],
        kind=DocumentKind(row["kind"]),
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        state=DocumentState(row["state"]),
        tag=row["tag"],
        attempt=row["attempt"],
        stalled=row["stalled"],
        worker_id=row["worker_id"],
        page_count=row["page_count"],
        pages_done=row["pages_done"],
        error_code=row["error_code"],
        error_facts=row["error_facts"],
        index=row.get("index", FIRST_INDEX),
        index_digest=row["index_digest"],
        created_at=moment(row["created_at"]),
        begun_at=None if begun_at is None else moment(begun_at),
        begun_with=row["begun_with"],
        pages_unread=row.get("pages_unread", 0),  # none before scans were read
        collection_id=row.get("collection_id"),  # none before there were collections
    )
