"""Permits in, jobs done. A permit is acknowledged after the job's end is in the store."""

from __future__ import annotations

import asyncio
import logging
from typing import Generic, TypeVar

from shared.broker.base import Delivery
from shared.errors import NunmalError, ServiceError, StoreUnavailable
from shared.jobs import Job
from shared.store import Store
from shared.telemetry import fields
from workers.jobs.work import JobWork, Lost
from workers.patience import patiently

log = logging.getLogger(__name__)

_MOST_STALLED = 3  # attempts in a row that came to nothing

J = TypeVar("J", bound=Job)


class JobConsumer(Generic[J]):
    """`on_permit` is the broker's handler."""

    def __init__(self, worker_id: str, store: Store, work: JobWork[J]) -> None:
        self._worker_id = worker_id
        self._store = store
        self._work = work
        self._claims = work.kind.claims(store)
        self.busy = 0

    async def on_permit(self, delivery: Delivery) -> None:
        """Cancelled (the worker ends), the job is given back, and so is the permit."""
        job: J | None = await patiently(lambda: self._claims.claim(self._worker_id))
        if job is None:
            await delivery.ack()
            return
        self.busy += 1
        try:
            await self._move_time(job)
            if await self._ends(job):
                await delivery.ack()
            else:
                await delivery.requeue()
        except asyncio.CancelledError:
            await self._claims.give_back(job.id, job.attempt)
            raise
        finally:
            self.busy -= 1

    async def _move_time(self, job: J) -> None:
        """Lost if the store is away just now: the next claim moves it further."""
        try:
            await self._store.fairness.claimed(self._work.kind.lane, job.tag)
        except StoreUnavailable as error:
            log.info("time_not_moved", extra=fields(reason=str(error)))

    async def _ends(self, job: J) -> bool:
        """False: it was given back, to be tried again."""
        try:
            if job.stalled > _MOST_STALLED:
                raise self._work.too_many_attempts
            await self._work.do(job)
        except Lost:
            log.info("job_lost", extra=fields(id=job.id))
        except ServiceError as error:
            log.warning("job_given_back", extra=fields(id=job.id, reason=str(error)))
            await patiently(lambda: self._claims.give_back(job.id, job.attempt))
            return False
        except Exception as error:
            if isinstance(error, NunmalError) and isinstance(error, self._work.refusals):
                await self._fail(job, error)
                return True
            log.exception("job_crashed")  # a fault of ours: three attempts like this, and the person is told
            await patiently(lambda: self._claims.give_back(job.id, job.attempt))
            return False
        else:
            self._work.ended("ready")
        return True

    async def _fail(self, job: J, refusal: NunmalError) -> None:
        if await patiently(lambda: self._claims.fail(job.id, job.attempt, refusal)):
            self._work.ended(refusal.code)
