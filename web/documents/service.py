"""What people do with their documents: upload, look, remove. No HTTP here."""

from __future__ import annotations

import asyncio
import hashlib
import logging

from shared.broker.base import Broker
from shared.document_errors import DocumentsFull, DocumentTooLarge
from shared.document_kinds import kind_of, tidy_name
from shared.documents import Document, Page
from shared.errors import NotFound, ServiceError
from shared.ids import is_id
from shared.messages import IngestDocument
from shared.settings import WebSettings
from shared.store import Store
from shared.telemetry import fields
from shared.topology import INGEST_LANE

log = logging.getLogger(__name__)

_MIB = 1 << 20


class DocumentService:
    def __init__(self, store: Store, broker: Broker, settings: WebSettings) -> None:
        self._store = store
        self._broker = broker
        self._settings = settings

    @property
    def most_mib(self) -> int:
        """Of one document."""
        return self._settings.document_max_mib

    async def upload(self, user_id: str, name: str, data: bytes) -> Document:
        """Keep it and have it read. The same bytes are kept once: the document that has them comes back.

        Raises DocumentEmpty, DocumentTooLarge, DocumentKindUnknown, DocumentEncrypted, DocumentsFull.
        """
        if len(data) > self.most_mib * _MIB:
            raise DocumentTooLarge(limit=self.most_mib)
        kind = await asyncio.to_thread(kind_of, name, data)
        sha256 = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        if known := await self._store.documents.with_file(user_id, sha256):
            return known
        await self._require_space(user_id, len(data))
        fairness = self._store.fairness
        time = await fairness.virtual_time(INGEST_LANE)
        tag = await fairness.start_tag(INGEST_LANE, user_id, float(len(data)), time)
        document = await self._store.documents.add(user_id, tidy_name(name), kind, data, tag)
        try:
            await self._broker.publish_permit(INGEST_LANE, IngestDocument(document_id=document.id))
        except ServiceError as error:  # recovery publishes it when the broker is back, or has room
            log.info("permit_not_sent", extra=fields(reason=type(error).__name__))
        return document

    async def all(self, user_id: str) -> list[Document]:
        """The last uploaded first."""
        return await self._store.documents.of_user(user_id)

    async def get(self, user_id: str, document_id: str) -> Document:
        """Raises NotFound, for a foreign one too; those below likewise."""
        document = await self._store.documents.get(document_id, user_id) if is_id(document_id) else None
        if document is None:
            raise NotFound
        return document

    async def page(self, user_id: str, document_id: str, number: int) -> tuple[Document, Page]:
        document = await self.get(user_id, document_id)
        page = await self._store.documents.contents.page(document_id, user_id, number)
        if page is None:
            raise NotFound
        return document, page

    async def blob(self, sha256: str | None) -> bytes:
        data = await self._store.blobs.get(sha256) if sha256 else None
        if data is None:
            raise NotFound
        return data

    async def remove(self, user_id: str, document_id: str) -> None:
        """It, everything that was made of it, and what was written about it; a worker that reads it stops."""
        if not is_id(document_id) or not await self._store.personal.remove_document(document_id, user_id):
            raise NotFound

    async def _require_space(self, user_id: str, size_bytes: int) -> None:
        most, most_mib = self._settings.documents_per_user, self._settings.document_space_mib
        used = await self._store.documents.space(user_id, most)
        if used.count >= most or used.size_bytes + size_bytes > most_mib * _MIB:
            raise DocumentsFull(limit=most, limit_mib=most_mib)
