"""What makes the house whole again after anything died.

Run by every web node and every worker; doing it twice is harmless.

- A running generation whose worker has no fresh heartbeat waits again, with the tokens it has.
- A waiting generation whose permit may be lost (the embedded broker forgets; a broker was away) gets a new one,
  as long as a worker of its lane has a free slot: a permit too many claims nothing and is acknowledged.
- A roll-out of an adapter that is due is settled, whoever waited for it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from datetime import UTC, datetime, timedelta

from shared import rollouts
from shared.broker.base import Broker
from shared.chat import Generation
from shared.errors import ServiceError
from shared.messages import GenerateReply, GenerationChanged
from shared.store import Store
from shared.telemetry import fields

log = logging.getLogger(__name__)

_INTERVAL_S = 0.5
_TIDY_EVERY = 120  # sweeps
_PERMIT_LOST_AFTER = timedelta(seconds=3)
_FORGET_WORKERS_AFTER = timedelta(hours=1)


async def run(store: Store, broker: Broker, stale_after: timedelta) -> None:
    """Sweep twice a second until cancelled. A store or broker that is away is tried again the next time."""
    rounds = itertools.cycle(range(_TIDY_EVERY))
    while True:
        try:
            await sweep(store, broker, stale_after)
            await rollouts.settle_all(store, stale_after)
            if next(rounds) == 0:
                await _tidy(store)
        except ServiceError as error:
            log.info("recovery_waits", extra=fields(reason=str(error)))
        await asyncio.sleep(_INTERVAL_S)


async def sweep(store: Store, broker: Broker, stale_after: timedelta) -> int:
    """One round. Returns how many permits it published."""
    running = await store.generations.running()
    alive = await store.workers.alive(stale_after)  # read after: who came and claimed in between is no lost worker
    alive_ids = {worker.id for worker in alive}
    lost = [turn for turn in running if turn.worker_id not in alive_ids]
    published = sum(await asyncio.gather(*(_take_back(store, broker, turn) for turn in lost)))
    free_slots: Counter[str] = Counter()
    for worker in alive:
        free_slots[worker.lane] += worker.free
    lanes = [lane for lane, free in free_slots.items() if free]
    if lanes:
        overdue = datetime.now(UTC) - _PERMIT_LOST_AFTER
        for generation in await store.generations.waiting_since(overdue, lanes):
            if free_slots[generation.lane] > 0:
                free_slots[generation.lane] -= 1
                await _permit(store, broker, generation)
                published += 1
    return published


async def _tidy(store: Store) -> None:
    """Forget what has become meaningless."""
    await store.workers.sweep(_FORGET_WORKERS_AFTER)
    await store.fairness.sweep()
    await store.usage.sweep()


async def _take_back(store: Store, broker: Broker, generation: Generation) -> bool:
    """False if somebody else was quicker."""
    if not await store.generations.requeue(generation.id, generation.attempt):
        return False
    log.warning("generation_taken_back", extra=fields(id=generation.id, worker_id=generation.worker_id))
    await _permit(store, broker, generation)
    await _tell_listeners(broker, generation)
    return True


async def _permit(store: Store, broker: Broker, generation: Generation) -> None:
    await broker.publish_permit(generation.lane, GenerateReply(generation_id=generation.id))
    await store.generations.permit_sent(generation.id)


async def _tell_listeners(broker: Broker, generation: Generation) -> None:
    changed = GenerationChanged(generation_id=generation.id, attempt=generation.attempt, state="queued")
    for node_id in generation.listeners:
        await broker.publish_to_node(node_id, changed)
