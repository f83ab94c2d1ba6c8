"""What people do with collections of their documents: name, fill, empty, remove. No HTTP here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.document_errors import CollectionFull, CollectionNameInvalid, TooManyCollections
from shared.documents import MOST_COLLECTION_NAME_CHARACTERS, Document, DocumentCollection
from shared.errors import NotFound
from shared.ids import is_id
from shared.settings import WebSettings
from shared.store import Store
from web.forms import tidy

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class FilledCollection:
    """A collection and what lies in it."""

    collection: DocumentCollection
    documents: Sequence[Document]

    @property
    def size_bytes(self) -> int:
        return sum(document.size_bytes for document in self.documents)


class Collecting:
    """Whatever names a collection or document raises NotFound, for a foreign one too."""

    def __init__(self, store: Store, settings: WebSettings) -> None:
        self._store = store
        self._settings = settings

    async def all(self, user_id: str, documents: Sequence[Document]) -> list[FilledCollection]:
        """By name. `documents`: all of this person's."""
        found = await self._store.document_collections.of_user(user_id)
        return [_filled(collection, documents) for collection in found]

    async def get(self, user_id: str, collection_id: str) -> FilledCollection:
        collection = await self._known(user_id, collection_id)
        return _filled(collection, await self._store.documents.of_user(user_id))

    async def shown(self, user_id: str, collection_id: str) -> str:
        """The same, or nothing where this person has no such collection any more."""
        found = await self._store.document_collections.get(collection_id, user_id) if is_id(collection_id) else None
        return found.id if found else ""

    async def create(self, user_id: str, name: str) -> DocumentCollection:
        """Raises CollectionNameInvalid, MessageInvalid, TooManyCollections."""
        name = _tidy_name(name)
        most = self._settings.collections_per_user
        if len(await self._store.document_collections.of_user(user_id)) >= most:
            raise TooManyCollections(limit=most)
        return await self._store.document_collections.add(user_id, name)

    async def rename(self, user_id: str, collection_id: str, name: str) -> None:
        """Raises CollectionNameInvalid, MessageInvalid."""
        name = _tidy_name(name)
        await self._known(user_id, collection_id)
        if not await self._store.document_collections.rename(collection_id, user_id, name):
            raise NotFound

    async def remove(self, user_id: str, collection_id: str, *, with_documents: bool) -> None:
        """What lies in it comes out of it, or goes with it. Whoever dies in between has the collection still."""
        collection = await self.get(user_id, collection_id)
        if with_documents:
            for document in collection.documents:
                await self._store.personal.remove_document(document.id, user_id)
        await self._store.documents.scatter(user_id, collection_id)
        await self._store.document_collections.remove(collection_id, user_id)
        await self._store.documents.scatter(user_id, collection_id)  # what somebody put in meanwhile

    async def put(self, user_id: str, document_id: str, collection_id: str | None) -> None:
        """Into this one and out of the one it lay in; None: into no other. Raises CollectionFull."""
        if not is_id(document_id):
            raise NotFound
        if collection_id is None:
            if not await self._store.documents.collect(document_id, user_id, None):
                raise NotFound
            return
        await self._require_room(user_id, document_id, collection_id)
        if not await self._store.documents.collect(document_id, user_id, collection_id):
            raise NotFound
        if await self._store.document_collections.get(collection_id, user_id) is None:  # removed meanwhile
            await self._store.documents.scatter(user_id, collection_id)
            raise NotFound

    async def _known(self, user_id: str, collection_id: str) -> DocumentCollection:
        found = None
        if is_id(collection_id):
            found = await self._store.document_collections.get(collection_id, user_id)
        if found is None:
            raise NotFound
        return found

    async def _require_room(self, user_id: str, document_id: str, collection_id: str) -> None:
        await self._known(user_id, collection_id)
        documents = await self._store.documents.of_user(user_id)
        inside = [each for each in documents if each.collection_id == collection_id or each.id == document_id]
        most, most_mib = self._settings.documents_per_collection, self._settings.collection_space_mib
        if len(inside) > most or sum(each.size_bytes for each in inside) > most_mib * _MIB:
            raise CollectionFull(limit=most, limit_mib=most_mib)


def _filled(collection: DocumentCollection, documents: Sequence[Document]) -> FilledCollection:
    return FilledCollection(collection, [each for each in documents if each.collection_id == collection.id])


def _tidy_name(name: str) -> str:
    """One line. Raises CollectionNameInvalid, MessageInvalid."""
    name = " ".join(tidy(name, MOST_COLLECTION_NAME_CHARACTERS).split())
    if not 0 < len(name) <= MOST_COLLECTION_NAME_CHARACTERS:
        raise CollectionNameInvalid(limit=MOST_COLLECTION_NAME_CHARACTERS)
    return name
