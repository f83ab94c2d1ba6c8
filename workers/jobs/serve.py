"""One worker that does jobs of one kind: used alike by `nunmal ingest` and `nunmal up`."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TypeVar

from shared import job_recovery
from shared.broker.base import Broker
from shared.errors import StoreUnavailable
from shared.ids import new_id
from shared.jobs import Job
from shared.settings import Settings
from shared.store import Store
from shared.telemetry import fields
from workers.heartbeat import WorkerIdentity, beat_forever
from workers.jobs.consumer import JobConsumer
from workers.jobs.work import JobWork
from workers.service_times import ServiceTimes

log = logging.getLogger(__name__)

_NO_MODEL = "none"

J = TypeVar("J", bound=Job)


async def serve_jobs(
    settings: Settings,
    broker: Broker,
    store: Store,
    work: JobWork[J],
    *,
    ready: asyncio.Event,
    stop: asyncio.Event,
    drain: asyncio.Event | None = None,
) -> None:
    """Do jobs until `stop`, then give back what is begun.

    An operator who asks for a drain sets `drain`, or `stop` if it is None. `broker` and `store` are open and stay so.
    """
    lane = work.kind.lane
    worker = WorkerIdentity(new_id(), lane, work.name, _NO_MODEL, work.slots)
    consumer = JobConsumer(worker.id, store, work)
    stale_after = timedelta(seconds=settings.worker.stale_after_s)
    is_known = asyncio.Event()

    def slots() -> int:
        """Nobody may count on a worker that ends."""
        return 0 if stop.is_set() else work.slots

    await broker.declare_lane(lane)
    async with asyncio.TaskGroup() as tasks:
        beating = beat_forever(
            *(store, worker, slots, lambda: consumer.busy, ServiceTimes(), lambda: ()),
            *(settings.worker.heartbeat_s, is_known, (drain or stop).set),
        )
        background = [
            tasks.create_task(beating),
            tasks.create_task(job_recovery.run(store, broker, stale_after)),
        ]
        await is_known.wait()  # without a heartbeat, whatever we claim would be taken for lost
        async with broker.consume_permits(lane, work.slots, consumer.on_permit):
            log.info("job_worker_ready", extra=fields(worker_id=worker.id, lane=lane))
            ready.set()
            await stop.wait()
        for task in background:
            task.cancel()
    try:
        await store.workers.remove(worker.id)
    except StoreUnavailable:
        log.info("worker_not_removed")  # its heartbeat grows stale by itself
