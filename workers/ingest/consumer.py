"""Permits in, read documents out. A permit is acknowledged after the document's end is in the store."""

from __future__ import annotations

import asyncio
import logging

from shared.broker.base import Delivery
from shared.document_errors import DocumentError, DocumentTooManyAttempts
from shared.documents import Document
from shared.errors import ServiceError, StoreUnavailable
from shared.metrics import INGEST_DOCUMENTS
from shared.store import Store
from shared.telemetry import fields
from shared.text.analyser import Analyser
from shared.topology import INGEST_LANE
from workers.ingest.ocr.base import OcrEngine
from workers.ingest.page_reader import PageReader
from workers.ingest.reading import Lost, read_document
from workers.patience import patiently

log = logging.getLogger(__name__)

_MOST_STALLED = 3  # attempts in a row without a new page


class IngestConsumer:
    """`on_permit` is the broker's handler."""

    def __init__(self, worker_id: str, store: Store, analyser: Analyser, reader: PageReader, ocr: OcrEngine) -> None:
        self._worker_id = worker_id
        self._store = store
        self._analyser = analyser
        self._reader = reader
        self._ocr = ocr
        self.busy = 0

    async def on_permit(self, delivery: Delivery) -> None:
        """Cancelled (the worker ends), the document is given back, and so is the permit."""
        document = await patiently(lambda: self._store.documents.claim(self._worker_id))
        if document is None:
            await delivery.ack()
            return
        self.busy += 1
        try:
            await self._move_time(document)
            if await self._ends(document):
                await delivery.ack()
            else:
                await delivery.requeue()
        except asyncio.CancelledError:
            await self._store.documents.give_back(document.id, document.attempt)
            raise
        finally:
            self.busy -= 1

    async def _move_time(self, document: Document) -> None:
        """Lost if the store is away just now: the next claim moves it further."""
        try:
            await self._store.fairness.claimed(INGEST_LANE, document.tag)
        except StoreUnavailable as error:
            log.info("time_not_moved", extra=fields(reason=str(error)))

    async def _ends(self, document: Document) -> bool:
        """False: it was given back, to be tried again."""
        documents = self._store.documents
        try:
            if document.stalled > _MOST_STALLED:
                raise DocumentTooManyAttempts
            done = await read_document(document, self._store, self._analyser, self._reader, self._ocr)
        except Lost:
            log.info("document_lost", extra=fields(id=document.id))
        except DocumentError as error:
            refusal = error
            if await patiently(lambda: documents.fail(document.id, document.attempt, refusal)):
                INGEST_DOCUMENTS.labels(error.code).inc()
        except ServiceError as error:
            log.warning("document_given_back", extra=fields(id=document.id, reason=str(error)))
            await patiently(lambda: documents.give_back(document.id, document.attempt))
            return False
        except Exception:  # a fault of ours: three attempts like this, and the person is told
            log.exception("ingest_crashed")
            await patiently(lambda: documents.give_back(document.id, document.attempt))
            return False
        else:
            finish = documents.finish
            if await patiently(
                lambda: finish(document.id, document.attempt, done.index_digest, pages_unread=done.pages_unread)
            ):
                INGEST_DOCUMENTS.labels("ready").inc()
        return True
