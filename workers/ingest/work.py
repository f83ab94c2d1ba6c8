"""What is done with one document: used alike by `nunmal ingest` and `nunmal up`."""

from __future__ import annotations

from shared.document_errors import DocumentError, DocumentTooManyAttempts
from shared.documents import Document
from shared.job_kinds import DOCUMENTS
from shared.metrics import INGEST_DOCUMENTS
from shared.settings import Settings
from shared.store import Store
from shared.text.analyser import Analyser
from shared.text.embedders import indexing_of
from shared.text.embedding import Embedder
from shared.text.passages import Indexing
from workers.ingest.ocr.base import OcrEngine
from workers.ingest.ocr.tesseract import Tesseract
from workers.ingest.page_reader import PageReader
from workers.ingest.reading import read_document
from workers.jobs.work import JobWork, require


class ReadingWork(JobWork[Document]):
    kind = DOCUMENTS
    name = "documents"
    slots = 1
    refusals = (DocumentError,)
    too_many_attempts = DocumentTooManyAttempts

    def __init__(
        self, store: Store, analyser: Analyser, reader: PageReader, ocr: OcrEngine, indexing: Indexing
    ) -> None:
        self._store = store
        self._analyser = analyser
        self._reader = reader
        self._ocr = ocr
        self._indexing = indexing

    async def do(self, job: Document) -> None:
        done = await read_document(job, self._store, self._analyser, self._reader, self._ocr, self._indexing)
        index, unread = self._indexing.name, done.pages_unread
        finish = self._store.documents.finish
        require(await finish(job.id, job.attempt, done.index_digest, index=index, pages_unread=unread))

    def ended(self, outcome: str) -> None:
        INGEST_DOCUMENTS.labels(outcome).inc()


def reading_work(settings: Settings, store: Store, analyser: Analyser, embedder: Embedder) -> ReadingWork:
    reader = PageReader(most_pages=settings.ingest.max_pages, within_s=settings.ingest.page_timeout_s)
    ocr = Tesseract(settings.ingest.ocr_timeout_s)
    return ReadingWork(store, analyser, reader, ocr, indexing_of(settings.ingest, embedder))
