"""One small document per worker, renewed while it lives: the lease of everything it has claimed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.errors import StoreUnavailable
from shared.store import Store
from shared.telemetry import fields
from workers.service_times import ServiceTimes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    id: str
    lane: str
    model: str
    model_digest: str
    slots: int
    context_length: int | None = None  # tokens
    sees: bool = False  # its model looks at pictures


async def beat_forever(
    store: Store,
    worker: WorkerIdentity,
    slots: Callable[[], int],
    busy: Callable[[], int],
    service: ServiceTimes,
    adapters: Callable[[], Sequence[str]],
    interval_s: float,
    is_known: asyncio.Event,
    on_drain: Callable[[], None],
) -> None:
    """Renew until cancelled; `is_known` is set after the first beat. A store that is away is tried at the next one.

    `on_drain` is called at every beat after an operator asked this worker to drain.
    """
    while True:
        try:
            is_asked_to_drain = await store.workers.beat(
                worker.id,
                worker.lane,
                worker.model,
                worker.model_digest,
                slots(),
                busy(),
                service.seconds,
                service.tokens,
                worker.context_length,
                worker.sees,
                adapters(),
            )
            is_known.set()
            if is_asked_to_drain:
                on_drain()
        except StoreUnavailable as error:
            log.warning("heartbeat_missed", extra=fields(reason=str(error)))
        await asyncio.sleep(interval_s)
