"""One worker that digests articles: used alike by `nunmal ingest` and `nunmal up`."""

from __future__ import annotations

import asyncio
import time

from shared.broker.base import Broker
from shared.digest_errors import DigestError, DigestTooManyAttempts
from shared.digests import DigestJob
from shared.document_errors import DocumentError
from shared.job_kinds import DIGESTS
from shared.metrics import DIGEST_OUTCOMES, DIGEST_SECONDS, DIGEST_SUMMARIES
from shared.settings import Settings
from shared.store import Store
from shared.text.analyser import Analyser
from workers.digest.making import make_digest
from workers.ingest.page_reader import PageReader
from workers.jobs.serve import serve_jobs
from workers.jobs.work import JobWork, Lost, require


class DigestingWork(JobWork[DigestJob]):
    """An article is one step: whoever takes it over begins it again, and comes to the same digest."""

    kind = DIGESTS
    name = "digests"
    refusals = (DigestError, DocumentError)
    too_many_attempts = DigestTooManyAttempts

    def __init__(self, store: Store, analyser: Analyser, reader: PageReader) -> None:
        self._store = store
        self._analyser = analyser
        self._reader = reader

    async def do(self, job: DigestJob) -> None:
        begun = time.perf_counter()
        source = await self._store.digests.source_of(job)
        if source is None:
            raise Lost
        digest = await make_digest(source, job.kind, job.given, self._analyser, self._reader)
        require(await self._store.digests.finish(job.id, job.attempt, digest))
        DIGEST_SECONDS.observe(time.perf_counter() - begun)
        DIGEST_SUMMARIES.labels(digest.summary_by).inc()

    def ended(self, outcome: str) -> None:
        DIGEST_OUTCOMES.labels(outcome).inc()


async def serve_digests(
    settings: Settings,
    broker: Broker,
    store: Store,
    *,
    ready: asyncio.Event,
    stop: asyncio.Event,
    analyser: Analyser,
    drain: asyncio.Event | None = None,
) -> None:
    """Digest articles until `stop`. `analyser` stays open. See `serve_jobs`."""
    reader = PageReader(most_pages=settings.ingest.max_pages, within_s=settings.ingest.page_timeout_s)
    work = DigestingWork(store, analyser, reader)
    await serve_jobs(settings, broker, store, work, ready=ready, stop=stop, drain=drain)
