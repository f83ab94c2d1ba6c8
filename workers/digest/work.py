"""What is done with one article: used alike by `nunmal ingest` and `nunmal up`."""

from __future__ import annotations

import functools
import time

from shared.digest_errors import DigestError, DigestTooManyAttempts
from shared.digests import DigestJob
from shared.document_errors import DocumentError
from shared.job_kinds import DIGESTS
from shared.metrics import DIGEST_EXPLANATIONS, DIGEST_OUTCOMES, DIGEST_SECONDS, DIGEST_SUMMARIES
from shared.settings import Settings
from shared.store import Store
from shared.text.analyser import Analyser
from workers.digest.making import make_digest
from workers.digest.writing import ModelWriter
from workers.ingest.page_reader import PageReader
from workers.jobs.work import JobWork, Lost, require

_WAITING_AT_ONCE = 4  # digests; while one waits for the model another is read


class DigestingWork(JobWork[DigestJob]):
    """An article is one step: whoever takes it over begins it again, and comes to the same digest. `writer`: a language
    model that writes in it, if there is one."""

    kind = DIGESTS
    name = "digests"
    refusals = (DigestError, DocumentError)
    too_many_attempts = DigestTooManyAttempts

    def __init__(self, store: Store, analyser: Analyser, reader: PageReader, writer: ModelWriter | None) -> None:
        self._store = store
        self._analyser = analyser
        self._reader = reader
        self._writer = writer
        self.slots = _WAITING_AT_ONCE if writer else 1

    async def do(self, job: DigestJob) -> None:
        begun = time.perf_counter()
        source = await self._store.digests.source_of(job)
        if source is None:
            raise Lost
        writer = functools.partial(self._writer.written, job) if self._writer else None
        digest = await make_digest(source, job.kind, job.given, self._analyser, self._reader, writer)
        require(await self._store.digests.finish(job.id, job.attempt, digest))
        DIGEST_SECONDS.observe(time.perf_counter() - begun)
        DIGEST_SUMMARIES.labels(digest.summary_by).inc()
        for term in digest.technical_terms:
            if term.explanation is not None:
                DIGEST_EXPLANATIONS.labels(term.by).inc()

    def ended(self, outcome: str) -> None:
        DIGEST_OUTCOMES.labels(outcome).inc()


def digesting_work(settings: Settings, store: Store, analyser: Analyser) -> DigestingWork:
    reader = PageReader(most_pages=settings.ingest.max_pages, within_s=settings.ingest.page_timeout_s)
    writer = ModelWriter(store, analyser, settings.ingest) if settings.ingest.digest_model else None
    return DigestingWork(store, analyser, reader, writer)
