"""What makes the reading of documents whole again after anything died. Run by every web node and ingest worker; doing
it twice is harmless.

- A document whose reader has no fresh heartbeat waits again, with the pages it has.
- A waiting document whose permit may be lost gets a new one: a permit too many claims nothing and is acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from shared.broker.base import Broker
from shared.errors import ServiceError
from shared.messages import IngestDocument
from shared.store import Store
from shared.telemetry import fields
from shared.topology import INGEST_LANE

log = logging.getLogger(__name__)

_INTERVAL_S = 1.0
_PERMIT_LOST_AFTER_S = 5.0


async def run(store: Store, broker: Broker, stale_after: timedelta) -> None:
    """Sweep until cancelled. A store or broker that is away is tried again the next time."""
    while True:
        try:
            await sweep(store, broker, stale_after)
        except ServiceError as error:
            log.info("ingest_recovery_waits", extra=fields(reason=str(error)))
        await asyncio.sleep(_INTERVAL_S)


async def sweep(
    store: Store, broker: Broker, stale_after: timedelta, permit_lost_after_s: float = _PERMIT_LOST_AFTER_S
) -> int:
    """One round. Returns how many permits it published: no more than there are free workers, and those taken back."""
    reading = await store.documents.being_read()
    alive = await store.workers.alive(stale_after, INGEST_LANE)  # read after: who came meanwhile is not lost
    alive_ids = {worker.id for worker in alive}
    lost = [document for document in reading if document.worker_id not in alive_ids]
    due = [document.id for document in lost if await store.documents.give_back(document.id, document.attempt)]
    free = sum(worker.free for worker in alive)
    due += (await store.documents.waiting(permit_lost_after_s))[:free] if free else []
    for document_id in dict.fromkeys(due):
        await broker.publish_permit(INGEST_LANE, IngestDocument(document_id=document_id))
        await store.documents.permit_sent(document_id)
    return len(set(due))
