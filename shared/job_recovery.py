"""What makes jobs (shared/jobs.py) whole again after anything died. Run by every web node and by those who do jobs;
doing it twice is harmless.

- A job whose worker has no fresh heartbeat waits again, with what it has.
- A waiting job whose permit may be lost gets a new one: a permit too many claims nothing and is acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from shared.broker.base import Broker
from shared.errors import ServiceError
from shared.job_kinds import KINDS, JobKind
from shared.store import Store
from shared.telemetry import fields

log = logging.getLogger(__name__)

_INTERVAL_S = 1.0
_PERMIT_LOST_AFTER_S = 5.0


async def run(store: Store, broker: Broker, stale_after: timedelta) -> None:
    """Sweep until cancelled. A store or broker that is away is tried again the next time."""
    while True:
        try:
            await sweep(store, broker, stale_after)
        except ServiceError as error:
            log.info("job_recovery_waits", extra=fields(reason=str(error)))
        await asyncio.sleep(_INTERVAL_S)


async def sweep(
    store: Store, broker: Broker, stale_after: timedelta, permit_lost_after_s: float = _PERMIT_LOST_AFTER_S
) -> int:
    """One round over all kinds. Returns how many permits it published."""
    return sum([await _swept(kind, store, broker, stale_after, permit_lost_after_s) for kind in KINDS])


async def _swept(
    kind: JobKind, store: Store, broker: Broker, stale_after: timedelta, permit_lost_after_s: float
) -> int:
    """No more permits than there are free workers, and jobs that are taken back."""
    claims = kind.claims(store)
    claimed = await claims.being_read()
    alive = await store.workers.alive(stale_after, kind.lane)  # read after: who came meanwhile is not lost
    alive_ids = {worker.id for worker in alive}
    lost = [job for job in claimed if job.worker_id not in alive_ids]
    due = [job.id for job in lost if await claims.give_back(job.id, job.attempt)]
    free = sum(worker.free for worker in alive)
    due += (await claims.waiting(permit_lost_after_s))[:free] if free else []
    for job_id in dict.fromkeys(due):
        await broker.publish_permit(kind.lane, kind.permit(job_id))
        await claims.permit_sent(job_id)
    return len(set(due))
