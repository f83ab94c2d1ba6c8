"""A worker that reads documents, or one that digests articles, in a test's own process; or one to be killed:
`python -m tests.ingest_house STORE_URL DATABASE [digests|reindexings]`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from shared.broker.base import Broker
from shared.broker.memory import MemoryBroker
from shared.digests import DigestJob
from shared.documents import Document, DocumentState
from shared.entrypoint import announce_ready
from shared.jobs import FAILED
from shared.settings import load_settings
from shared.store import Store
from shared.text.embedding import Embedder, HashedNgrams
from tests.local_analyser import LocalAnalyser
from tests.waiting import until
from web.digests.relay import DigestRelay
from workers.digest.work import digesting_work
from workers.ingest.reindexing import reindexing_work
from workers.ingest.work import reading_work
from workers.jobs.serve import serve_jobs
from workers.jobs.work import JobWork

OTHER_CHARACTERS = 300  # of a chunk, for those who index anew

_PATIENCE_S = 110.0
_HASHED = HashedNgrams()


@contextlib.asynccontextmanager
async def ingest_worker(
    store: Store, broker: Broker, *, stale_after_s: float = 60.0, embedder: Embedder = _HASHED, **ingest: float
) -> AsyncIterator[None]:
    """Reads what comes while inside. `stale_after_s`: long, because the analyser beside it holds up its heartbeat."""
    async with _worker(_with_vectors(reading_work, embedder), store, broker, stale_after_s, **ingest):
        yield


@contextlib.asynccontextmanager
async def digest_worker(
    store: Store, broker: Broker, *, stale_after_s: float = 60.0, **ingest: float | str
) -> AsyncIterator[None]:
    """Digests what comes while inside; with `digest_model` beside what a web node does for it."""
    settings = load_settings({}, worker={"stale_after_s": stale_after_s})
    async with _worker(digesting_work, store, broker, stale_after_s, **ingest):
        asking = asyncio.create_task(DigestRelay(store, broker, settings).run()) if ingest else None
        try:
            yield
        finally:
            if asking is not None:
                asking.cancel()
                await asyncio.wait([asking])


@contextlib.asynccontextmanager
async def reindex_worker(
    store: Store, broker: Broker, *, stale_after_s: float = 60.0, embedder: Embedder = _HASHED, **ingest: float
) -> AsyncIterator[None]:
    """Indexes documents anew while inside."""
    async with _worker(_with_vectors(reindexing_work, embedder), store, broker, stale_after_s, **ingest):
        yield


def _with_vectors(work_of: Callable[..., JobWork[Any]], embedder: Embedder) -> Callable[..., JobWork[Any]]:
    return lambda *others: work_of(*others, embedder)


@contextlib.asynccontextmanager
async def _worker(
    work_of: Callable[..., JobWork[Any]], store: Store, broker: Broker, stale_after_s: float, **ingest: float | str
) -> AsyncIterator[None]:
    stop, ready = asyncio.Event(), asyncio.Event()
    settings = load_settings({}, ingest=ingest, worker={"heartbeat_s": 0.2, "stale_after_s": stale_after_s})
    work = work_of(settings, store, LocalAnalyser())
    task = asyncio.create_task(serve_jobs(settings, broker, store, work, ready=ready, stop=stop))
    await ready.wait()
    try:
        yield
    finally:
        stop.set()
        await task


async def ended(store: Store, document: Document) -> Document:
    """Once it is ready or has failed."""

    async def look() -> Document | None:
        found = await store.documents.get(document.id, document.user_id)
        return found if found and found.state in (DocumentState.READY, DocumentState.FAILED) else None

    found = await until(look, _PATIENCE_S)
    assert found is not None, "it was not read in time"
    return found


async def digested(store: Store, job: DigestJob) -> DigestJob:
    """Once it is ready or has failed."""

    async def look() -> DigestJob | None:
        found = await store.digests.get(job.id, job.user_id)
        return found if found and found.state.is_final else None

    found = await until(look, _PATIENCE_S)
    assert found is not None, "it was not digested in time"
    return found


async def indexed_anew(store: Store) -> None:
    """Once nothing waits for it any more, or all has failed."""

    async def look() -> bool:
        return all(job.state == FAILED for job in await store.reindexings.all())

    assert await until(look, _PATIENCE_S), "it was not indexed anew in time"


async def _main(store_url: str, database: str, what: str = "documents") -> None:
    """Permits of another process never come here: recovery finds what waits."""
    workers: dict[str, Callable[..., contextlib.AbstractAsyncContextManager[None]]] = {
        "documents": ingest_worker,
        "digests": digest_worker,
        "reindexings": functools.partial(reindex_worker, chunk_characters=OTHER_CHARACTERS),
    }
    async with Store(store_url, database) as store, MemoryBroker() as broker, workers[what](store, broker):
        announce_ready("Nunmal ingest")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
