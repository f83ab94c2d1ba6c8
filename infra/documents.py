"""`nunmal documents reindex`: have every document indexed anew that has another index than these settings make.

A bulk job for each, done by `nunmal ingest` (or `nunmal up`) beside what is uploaded; questions are answered all the
while. Update all of these first: one with other settings cannot make this index. Doing it twice is harmless.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from infra.home import opened_store
from shared.broker.rabbitmq import RabbitBroker
from shared.document_errors import ReindexIncomplete
from shared.errors import ServiceError
from shared.jobs import FAILED
from shared.messages import ReindexDocument
from shared.settings import Settings
from shared.store import Store
from shared.telemetry import fields
from shared.text.embedders import embedder_of, indexing_of
from shared.topology import REINDEX_LANE

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5


def reindex(settings: Settings, *, only_list: bool, wait: bool) -> None:
    """Prints how many. `wait`: until none is left. Raises NunmalError: some could not be indexed, among others."""
    asyncio.run(_reindex(settings, only_list, wait))


async def _reindex(settings: Settings, only_list: bool, wait: bool) -> None:
    index = indexing_of(settings.ingest, embedder_of(settings.embedding)).name
    async with opened_store(settings) as store:
        documents = await store.documents.indexed_otherwise(index)
        sys.stdout.write(f"{len(documents)} documents are to be indexed anew as {index}\n")
        if only_list:
            return
        added = [document.id for document in documents if await store.reindexings.add(document, index)]
        if settings.broker_url is not None and added:
            await _publish(settings.broker_url.get_secret_value(), added)
        if wait:
            await _wait(store)


async def _publish(broker_url: str, document_ids: list[str]) -> None:
    """Recovery gives a permit to what has none, in time."""
    try:
        async with RabbitBroker(broker_url) as broker:
            await broker.declare_lane(REINDEX_LANE)
            for document_id in document_ids:
                await broker.publish_permit(REINDEX_LANE, ReindexDocument(document_id=document_id))
    except ServiceError as error:
        log.info("permits_not_sent", extra=fields(reason=type(error).__name__))


async def _wait(store: Store) -> None:
    while jobs := await store.reindexings.all():
        if all(job.state == FAILED for job in jobs):
            reasons = ", ".join(sorted({str(job.error_code) for job in jobs}))
            raise ReindexIncomplete(f"{len(jobs)} documents keep the index they had: {reasons}", count=len(jobs))
        await asyncio.sleep(_LOOK_EVERY_S)
    sys.stdout.write("done\n")
