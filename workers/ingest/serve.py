"""One ingest worker: used alike by `nunmal ingest` and `nunmal up`."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from shared import ingest_recovery
from shared.broker.base import Broker
from shared.errors import StoreUnavailable
from shared.ids import new_id
from shared.settings import Settings
from shared.store import Store
from shared.telemetry import fields
from shared.text.analyser import Analyser
from shared.topology import INGEST_LANE
from workers.heartbeat import WorkerIdentity, beat_forever
from workers.ingest.consumer import IngestConsumer
from workers.ingest.ocr.tesseract import Tesseract
from workers.ingest.page_reader import PageReader
from workers.service_times import ServiceTimes

log = logging.getLogger(__name__)

_SLOTS = 1  # reading keeps a core busy: run as many workers as there are cores for it
_NO_MODEL = "none"


async def serve_ingest(
    settings: Settings,
    broker: Broker,
    store: Store,
    *,
    ready: asyncio.Event,
    stop: asyncio.Event,
    analyser: Analyser | None = None,
    drain: asyncio.Event | None = None,
) -> None:
    """Read documents until `stop`, then give back what is begun. `analyser`: one that is used by others too.

    An operator who asks for a drain sets `drain`, or `stop` if it is None. `broker` and `store` are open and stay so.
    """
    worker = WorkerIdentity(new_id(), INGEST_LANE, "documents", _NO_MODEL, _SLOTS)
    reader = PageReader(most_pages=settings.ingest.max_pages, within_s=settings.ingest.page_timeout_s)
    own = analyser or Analyser()
    consumer = IngestConsumer(worker.id, store, own, reader, Tesseract(settings.ingest.ocr_timeout_s))
    stale_after = timedelta(seconds=settings.worker.stale_after_s)
    is_known = asyncio.Event()

    def slots() -> int:
        """Nobody may count on a worker that ends."""
        return 0 if stop.is_set() else _SLOTS

    await broker.declare_lane(INGEST_LANE)
    try:
        async with asyncio.TaskGroup() as tasks:
            beating = beat_forever(
                *(store, worker, slots, lambda: consumer.busy, ServiceTimes(), lambda: ()),
                *(settings.worker.heartbeat_s, is_known, (drain or stop).set),
            )
            background = [
                tasks.create_task(beating),
                tasks.create_task(ingest_recovery.run(store, broker, stale_after)),
            ]
            await is_known.wait()  # without a heartbeat, whatever we claim would be taken for lost
            async with broker.consume_permits(INGEST_LANE, _SLOTS, consumer.on_permit):
                log.info("ingest_ready", extra=fields(worker_id=worker.id))
                ready.set()
                await stop.wait()
            for task in background:
                task.cancel()
    finally:
        if analyser is None:
            await own.close()
    try:
        await store.workers.remove(worker.id)
    except StoreUnavailable:
        log.info("worker_not_removed")  # its heartbeat grows stale by itself
