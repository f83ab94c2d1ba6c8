"""One worker, from loading its model to giving everything back: used alike by `nunmal worker` and `nunmal up`.

Nothing heavy is imported here: what is slow happens in a thread while the event loop goes on, PyTorch and the model in
the engine's process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from shared import recovery
from shared.audit import AuditAction
from shared.broker.base import Broker
from shared.entrypoint import first_of
from shared.errors import EngineLost, StoreUnavailable
from shared.ids import new_id
from shared.messages import AdapterPublished, Control
from shared.settings import Settings, WorkerSettings
from shared.store import Store
from shared.telemetry import fields
from shared.topology import CHAT_JOBS, lane
from workers.adapters import AdapterKeeper
from workers.consumer import Consumer
from workers.engine.base import JsonSchema
from workers.engine.engine_messages import Order, Step
from workers.engine.process_engine import ProcessEngine
from workers.engine.streaming_engine import OnStep
from workers.engine.vocabulary import Vocabulary
from workers.engine_metrics import EngineMetrics
from workers.gpu_metrics import GpuMetrics
from workers.heartbeat import WorkerIdentity, beat_forever
from workers.open_upstream import open_upstream
from workers.pictures import PictureCache, eyes_of
from workers.publisher import Publisher
from workers.self_test import self_test
from workers.served_model import ServedModel
from workers.thinking import thinking
from workers.worker_metrics import tell_forever

log = logging.getLogger(__name__)

R = TypeVar("R")


def load_model(settings: Settings, on_step: OnStep | None = None) -> ServedModel:
    """Open the configured model, its engine in a process of its own or on another server. Slow: call it in a thread.

    `on_step` is told what metrics are told.

    Raises ModelError or ConfigError.
    """
    name, source = settings.model_name, settings.model_source
    if settings.worker.upstream_url:
        upstream = open_upstream(source, name, settings.worker)
        log.info("upstream_opened", extra=fields(model=name, how=upstream.description))
        return upstream
    order = Order(source, settings.worker, settings.log_format, settings.log_level)
    metrics = EngineMetrics(name).step

    def stepped(step: Step) -> None:
        metrics(step)
        if on_step is not None:
            on_step(step)

    engine = ProcessEngine.start(order, on_step=stepped)
    opened = engine.opened
    log.info("model_loaded", extra=fields(model=name, numerics=opened.numerics, process=engine.pid))
    vocabulary = Vocabulary(opened.tokenizer, opened.facts.vocabulary, opened.facts.stop_ids)
    served = ServedModel(
        name,
        engine,
        opened.tokenizer,
        opened.sampling,
        opened.stop_text,
        opened.numerics,
        vocabulary,
        JsonSchema,
        eyes_of(opened.facts, opened.tokenizer, engine.look) if opened.sees else None,
    )
    return thinking(served, opened.facts.vocabulary)


async def serve_worker(
    settings: Settings,
    broker: Broker,
    store: Store,
    *,
    ready: asyncio.Event,
    stop: asyncio.Event,
    load: Callable[[Settings], ServedModel] = load_model,
    drain_s: float = 0.0,
    hurry: asyncio.Event | None = None,
    drain: asyncio.Event | None = None,
) -> None:
    """Serve until `stop`, finish what running answers can within `drain_s` or until `hurry`, give the rest back (at
    most 2.5 s) and return. `ready` is set after a self-test.

    An operator who asks for a drain sets `drain`, or `stop` if it is None. `broker` and `store` are open and stay so.
    Raises ModelError or ConfigError if the model cannot serve, EngineLost
    after giving everything back if its engine's process ends.
    """
    loading = asyncio.ensure_future(_in_daemon_thread(lambda: load(settings)))
    if not await _before(stop, loading):
        return
    model = loading.result()
    try:
        await self_test(model)
        await _serve(settings, model, broker, store, ready, stop, drain_s, hurry, drain)
    finally:
        await model.engine.close()


async def _serve(
    settings: Settings,
    model: ServedModel,
    broker: Broker,
    store: Store,
    ready: asyncio.Event,
    stop: asyncio.Event,
    drain_s: float,
    hurry: asyncio.Event | None,
    drain: asyncio.Event | None,
) -> None:
    worker = WorkerIdentity(
        id=new_id(),
        lane=lane(CHAT_JOBS, model.name),
        model=model.name,
        model_digest=model.engine.model_digest,
        slots=settings.worker.slots,
        context_length=model.engine.context_length,
        sees=model.eyes is not None,
    )
    engine = model.engine
    publisher = Publisher(broker, worker.id, settings.worker.frame_ms / 1000)
    await broker.declare_lane(worker.lane)
    gpus = await asyncio.to_thread(GpuMetrics) if _uses_gpu(settings.worker) else None
    async with contextlib.AsyncExitStack() as stack:
        pictures = PictureCache(store.blobs, model.eyes, settings.worker.picture_cache_mib << 20)
        stack.callback(pictures.close)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        stale_after = timedelta(seconds=settings.worker.stale_after_s)
        adapters = AdapterKeeper(store, model, worker, stale_after)
        consumer = Consumer(worker, model, store, broker, publisher, settings.worker, tasks, pictures, adapters)

        async def on_control(message: Control) -> None:
            if isinstance(message, AdapterPublished):
                adapters.look(message)
            else:
                await consumer.on_control(message)

        await adapters.open()
        is_known = asyncio.Event()

        def slots() -> int:
            """Nobody may count on a worker that ends."""
            return 0 if stop.is_set() or engine.lost.is_set() else worker.slots

        background = [
            tasks.create_task(publisher.run()),
            tasks.create_task(
                beat_forever(
                    store,
                    worker,
                    slots,
                    lambda: consumer.busy,
                    consumer.service,
                    lambda: adapters.loaded,
                    settings.worker.heartbeat_s,
                    is_known,
                    (drain or stop).set,
                )
            ),
            tasks.create_task(recovery.run(store, broker, stale_after)),
            tasks.create_task(adapters.run()),
            tasks.create_task(tell_forever(worker, engine, broker, slots, gpus)),
        ]
        await is_known.wait()  # without a heartbeat, whatever we claim would be taken for lost
        async with broker.consume_control(worker.id, on_control):
            async with broker.consume_permits(worker.lane, worker.slots, consumer.on_permit):
                log.info("worker_ready", extra=fields(worker_id=worker.id, lane=worker.lane))
                ready.set()
                await first_of(stop, engine.lost)
            await consumer.drain(0.0 if engine.lost.is_set() else drain_s, hurry)
        for task in background:
            task.cancel()
    try:
        await store.workers.remove(worker.id)
        await store.audit.append(f"worker:{worker.id}", AuditAction.WORKER_DRAINED, worker.id, lane=worker.lane)
    except StoreUnavailable:
        log.info("worker_not_removed")  # its heartbeat grows stale by itself
    if engine.lost.is_set():
        raise EngineLost(f"the engine of the model {model.name} has ended; its answers go on elsewhere")


def _uses_gpu(settings: WorkerSettings) -> bool:
    """Perhaps; where there is none, none is found."""
    return settings.device != "cpu" and not settings.upstream_url


async def _before(stop: asyncio.Event, work: asyncio.Future[R]) -> bool:
    """Wait for `work`; False if `stop` came first. Raises what `work` raised."""
    stopping = asyncio.ensure_future(stop.wait())
    try:
        waiting: set[asyncio.Future[Any]] = {stopping, work}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    if not work.done():
        work.cancel()
        return False
    await work
    return True


async def _in_daemon_thread(call: Callable[[], R]) -> R:
    """Like asyncio.to_thread, but a process that must end does not wait for it."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[R] = loop.create_future()

    def settle(value: R | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # None only if R is

    def work() -> None:
        value, error = None, None
        try:
            value = call()
        except BaseException as raised:  # handed to the awaiting task
            error = raised
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            log.info("loaded_too_late")  # the loop is closed: the process ends

    threading.Thread(target=work, name="load-model", daemon=True).start()
    return await result
