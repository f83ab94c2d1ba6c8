"""One document that is indexed anew from its pages, as they were read: its passages beside those that are searched,
then one step from these to the others, and the old ones go. Questions are answered all the while."""

from __future__ import annotations

from shared.document_errors import DocumentError, DocumentTooManyAttempts, IndexUnlike
from shared.documents import Document, DocumentState, Page, Reindexing
from shared.job_kinds import REINDEXINGS
from shared.metrics import REINDEXED_DOCUMENTS
from shared.settings import Settings
from shared.store import Store
from shared.text.analyser import Analyser
from shared.text.embedders import indexing_of
from shared.text.embedding import Embedder
from shared.text.passages import Indexing
from workers.ingest.indexing import passages_of
from workers.jobs.work import JobWork, require


class ReindexingWork(JobWork[Reindexing]):
    kind = REINDEXINGS
    name = "reindexings"
    slots = 1
    refusals = (DocumentError,)
    too_many_attempts = DocumentTooManyAttempts

    def __init__(self, store: Store, analyser: Analyser, indexing: Indexing) -> None:
        self._store = store
        self._analyser = analyser
        self._indexing = indexing

    async def do(self, job: Reindexing) -> None:
        document = await self._store.documents.get(job.id, job.user_id)
        if document is not None and document.state is DocumentState.READY:
            if document.index != job.index:
                await self._index(job, document)
            await self._store.documents.contents.keep_index(job.id, job.index)
        require(await self._store.reindexings.finish(job.id, job.attempt))

    def ended(self, outcome: str) -> None:
        REINDEXED_DOCUMENTS.labels(outcome).inc()

    async def _index(self, job: Reindexing, document: Document) -> None:
        if job.index != self._indexing.name:
            raise IndexUnlike(index=job.index)
        contents = self._store.documents.contents
        texts = await contents.texts(job.user_id, [job.id])
        for number in sorted(number for _, number in texts if number > job.pages_done):
            page = Page(number, texts[job.id, number])
            passages = await passages_of(job.id, document.kind, page, self._indexing, self._analyser)
            await contents.put_passages(job.user_id, passages)
            require(await self._store.reindexings.page_done(job.id, job.attempt, number))
        digest = await contents.digest(job.id, job.index)
        require(await self._store.documents.switch_index(job.id, document.index, job.index, digest))


def reindexing_work(settings: Settings, store: Store, analyser: Analyser, embedder: Embedder) -> ReindexingWork:
    return ReindexingWork(store, analyser, indexing_of(settings.ingest, embedder))
