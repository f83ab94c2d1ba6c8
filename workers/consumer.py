"""Permits in, answers out: claims the lane's next generation for every permit, and obeys control messages.

A permit is acknowledged after the generation's end is in the store. Answers are tasks of their own, so that no permit
comes any more while running answers are being given back (`drain`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import metrics, recovery
from shared.broker.base import Broker, Delivery
from shared.chat import Generation, GenerationState, Origin
from shared.errors import BrokerUnavailable, QueueFull, ServiceError, StoreUnavailable, TooManyAttempts
from shared.messages import CancelGeneration, GenerateReply, WatchGeneration
from shared.settings import WorkerSettings
from shared.store import Store
from shared.telemetry import bound_generation, fields
from workers.adapters import AdapterKeeper
from workers.generation import Ending, RunningGeneration
from workers.heartbeat import WorkerIdentity
from workers.patience import patiently
from workers.pictures import PictureCache
from workers.publisher import Publisher
from workers.served_model import ServedModel
from workers.service_times import ServiceTimes

log = logging.getLogger(__name__)

_GIVE_BACK_S = 2.5  # a worker that ends has this long to give its answers back
_CLAIM_UNDER_WAY_S = 1.0
_LOOK_EVERY_S = 0.1


class Consumer:
    """`on_permit` and `on_control` are the broker's handlers; answers run in `tasks`."""

    def __init__(
        self,
        worker: WorkerIdentity,
        model: ServedModel,
        store: Store,
        broker: Broker,
        publisher: Publisher,
        settings: WorkerSettings,
        tasks: asyncio.TaskGroup,
        pictures: PictureCache,
        adapters: AdapterKeeper,
    ) -> None:
        self._worker = worker
        self._model = model
        self._store = store
        self._broker = broker
        self._publisher = publisher
        self._settings = settings
        self._tasks = tasks
        self._pictures = pictures
        self._adapters = adapters
        self._answering: set[asyncio.Task[None]] = set()
        self._running: dict[str, RunningGeneration] = {}
        self._is_draining = False
        self._gives_back = False
        self._claiming = asyncio.Lock()  # held from a claim until `_running` knows it
        self._probation = asyncio.Lock()  # held while a generation that has stalled before is tried again
        self._finding_lost: asyncio.Task[None] | None = None
        self.service = ServiceTimes()

    @property
    def busy(self) -> int:
        """Answers being written now."""
        return len(self._running)

    async def on_permit(self, delivery: Delivery) -> None:
        """Returns when the permit is settled. Cancelled (the broker closes), the answer itself goes on."""
        task = self._tasks.create_task(self._answer_one(delivery))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        await asyncio.shield(task)

    async def on_control(self, message: CancelGeneration | WatchGeneration) -> None:
        """For a generation we do not hold: nothing, except that a claim may be on its way back from the store."""
        running = self._running.get(message.generation_id) or await self._claim_under_way(message.generation_id)
        if running is None:
            return
        if isinstance(message, CancelGeneration):
            running.cancel(message.sent_at)
        else:
            running.watch(message.node_id, message.offset)

    async def drain(self, within_s: float = 0.0, hurry: asyncio.Event | None = None) -> None:
        """Let running answers end by themselves for `within_s` or until `hurry`; then give the rest back, with what
        they have, within 2.5 s. Call it when no permit comes any more."""
        self._is_draining = True
        if self._finding_lost is not None:
            self._finding_lost.cancel()
        if within_s > 0 and self._answering:
            await self._all_have_ended(within_s, hurry or asyncio.Event())
        self._gives_back = True
        for running in self._running.values():
            running.drain()
        if self._answering:
            _, late = await asyncio.wait(self._answering, timeout=_GIVE_BACK_S)
            for task in late:
                task.cancel()

    async def _all_have_ended(self, within_s: float, hurry: asyncio.Event) -> None:
        """Returns when they have, or after `within_s`, or when `hurry` is set."""
        ended = asyncio.ensure_future(asyncio.wait(self._answering))
        hurrying = asyncio.ensure_future(hurry.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {ended, hurrying}
            await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            hurrying.cancel()

    async def _find_lost_worker(self) -> None:
        """A permit came back: its holder's connection is gone, and perhaps the holder. So a worker that missed two
        heartbeats is taken for lost now, sooner than without such a sign."""
        stale_after = timedelta(seconds=2 * self._settings.heartbeat_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.stale_after_s):
                await self._sweep_until_cancelled(stale_after)

    async def _sweep_until_cancelled(self, stale_after: timedelta) -> None:
        while True:
            with contextlib.suppress(ServiceError):  # recovery tries again
                await recovery.sweep(self._store, self._broker, stale_after)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _answer_one(self, delivery: Delivery) -> None:
        if delivery.redelivered:
            metrics.REDELIVERIES.labels(self._worker.lane).inc()
        if delivery.redelivered and (self._finding_lost is None or self._finding_lost.done()):
            self._finding_lost = self._tasks.create_task(self._find_lost_worker())
        running = await self._claim()
        if running is None:
            await delivery.ack()
            return
        claimed = running.claimed
        with bound_generation(claimed.id):
            try:
                ending = await running.run()
                if ending and ending.state is GenerationState.QUEUED:
                    await self._send_permit(claimed)
                elif ending and isinstance(ending.error, TooManyAttempts):
                    await delivery.bury(claimed.id)
                    metrics.BURIED.labels(claimed.lane).inc()
                else:
                    await delivery.ack()
                if ending:
                    await running.announce_end(ending)
                    await self._account(running, claimed, ending)
            except Exception:  # a fault of ours: three attempts like this, and the person is told
                log.exception("answer_crashed")
                await patiently(lambda: self._store.generations.requeue(claimed.id, claimed.attempt))
                await self._send_permit(claimed)
                await delivery.ack()
            finally:
                running.close()
                if self._running.get(claimed.id) is running:  # else it was taken from us and we have claimed it again
                    del self._running[claimed.id]

    async def _account(self, running: RunningGeneration, claimed: Generation, ending: Ending) -> None:
        """What the answer cost, for limits, fairness and forecasts. Lost if the store is away just now. A digest's turn
        and limits are in its own lane: it takes nothing of what its owner may ask here."""
        if not ending.state.is_final:
            return
        tokens = running.tokens
        self.service.ended(running.seconds, tokens)
        if claimed.origin is Origin.DIGEST:
            return
        try:
            await self._store.usage.add(claimed.user_id, tokens, datetime.now(UTC))
            await self._store.fairness.correct(claimed.lane, claimed.user_id, tokens - claimed.cost)
        except StoreUnavailable as error:
            log.warning("cost_not_counted", extra=fields(reason=str(error)))

    async def _claim(self) -> RunningGeneration | None:
        """The lane's next generation, registered.

        Those whose last attempt ended without a token come last and one at a time: if one of them is what kills
        workers, the others are not taken along again and again until all have failed.
        """
        running = await self._claim_next(suspects=False)
        if running is not None:
            return running
        await self._probation.acquire()
        try:
            running = None if self._is_draining else await self._claim_next(suspects=True)
        finally:
            if running is not None and running.claimed.stalled_attempts > 1:
                self._tasks.create_task(self._end_probation(running))
            else:
                self._probation.release()
        return running

    async def _end_probation(self, running: RunningGeneration) -> None:
        await running.proven.wait()
        self._probation.release()

    async def _claim_next(self, *, suspects: bool) -> RunningGeneration | None:
        """Waits for a store that is away."""
        while True:
            async with self._claiming:
                try:
                    claimed = await self._store.generations.claim(
                        self._worker.lane, self._worker.id, adapters=self._adapters.takes, suspects=suspects
                    )
                except StoreUnavailable as error:
                    log.warning("claim_delayed", extra=fields(reason=str(error)))
                else:
                    if claimed is None:
                        return None
                    self._tasks.create_task(self._move_time(claimed))
                    return self._register(claimed)
            await patiently(self._return_unheard_claims)

    async def _move_time(self, claimed: Generation) -> None:
        """Lost if the store is away just now: the next claim moves it further."""
        try:
            await self._store.fairness.claimed(claimed.lane, claimed.tag)
        except StoreUnavailable as error:
            log.info("time_not_moved", extra=fields(reason=str(error)))

    def _register(self, claimed: Generation) -> RunningGeneration:
        running = RunningGeneration(
            claimed,
            self._model,
            self._store,
            self._publisher,
            self._pictures,
            checkpoint_s=self._settings.checkpoint_s,
            deadline_s=self._settings.deadline_s,
        )
        self._running[claimed.id] = running
        if self._gives_back:
            running.drain()
        return running

    async def _return_unheard_claims(self) -> None:
        """A claim may have succeeded although its answer never reached us: such a generation would run nowhere."""
        async with self._claiming:
            for generation in await self._store.generations.running():
                if generation.worker_id == self._worker.id and generation.id not in self._running:
                    await self._store.generations.requeue(generation.id, generation.attempt)

    async def _claim_under_way(self, generation_id: str) -> RunningGeneration | None:
        try:
            async with asyncio.timeout(_CLAIM_UNDER_WAY_S), self._claiming:
                return self._running.get(generation_id)
        except TimeoutError:
            return None

    async def _send_permit(self, generation: Generation) -> None:
        try:
            await self._broker.publish_permit(generation.lane, GenerateReply(generation_id=generation.id))
        except (BrokerUnavailable, QueueFull) as error:  # recovery sends it later
            log.info("permit_not_sent", extra=fields(reason=type(error).__name__))
