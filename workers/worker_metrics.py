"""What a worker tells of itself every second: its engine, its slots, its adapters, its GPUs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from shared import metrics
from shared.broker.base import Broker
from workers.engine.base import Engine
from workers.engine_metrics import stands
from workers.gpu_metrics import GpuMetrics
from workers.heartbeat import WorkerIdentity

_EVERY_S = 1.0


async def tell_forever(
    worker: WorkerIdentity, engine: Engine, broker: Broker, slots: Callable[[], int], gpus: GpuMetrics | None
) -> None:
    """Until cancelled. `slots`: as the heartbeat tells them."""
    metrics.WORKER_INFO.labels(worker.model, worker.id, worker.model_digest).set(1)
    _begin_at_zero(worker)
    try:
        while True:
            metrics.WORKER_SLOTS.labels(worker.model).set(slots())
            metrics.BROKER_CONNECTED.set(broker.is_connected)
            stands(worker.model, engine.stats())
            _tell_adapters(worker.model, engine)
            if gpus is not None and gpus.count:
                await asyncio.to_thread(gpus.look)
            await asyncio.sleep(_EVERY_S)
    finally:
        metrics.WORKER_INFO.remove(worker.model, worker.id, worker.model_digest)


def _begin_at_zero(worker: WorkerIdentity) -> None:
    """A counter that begins with its first event hides it: Prometheus sees no rise."""
    for reason in ("stop", "length", "abort", "error"):
        metrics.REQUEST_SUCCESS.labels(worker.model, reason)
    for counter in (metrics.PREEMPTIONS, metrics.CANCELS):
        counter.labels(worker.model)
    metrics.CANCEL_LATENCY.labels(worker.model)
    for counter in (metrics.REDELIVERIES, metrics.BURIED):
        counter.labels(worker.lane)


def _tell_adapters(model: str, engine: Engine) -> None:
    loaded = engine.adapters()
    metrics.ADAPTER_INFO.clear()
    for adapter in loaded:
        metrics.ADAPTER_INFO.labels(model, adapter.name, adapter.digest[:12]).set(1)
    in_use = ",".join(sorted(engine.stats().adapters))
    metrics.LORA_REQUESTS.clear()  # vLLM's way: the newest line is what is true
    metrics.LORA_REQUESTS.labels(str(len(loaded)), "", in_use).set(time.time())
