"""Runs the application under uvicorn, inside an event loop and with signals that belong to the caller."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta

from uvicorn import Config, Server

from shared import forgetting, job_recovery, recovery
from shared.broker.base import Broker
from shared.settings import Settings
from shared.store import Store
from shared.text.analyser import Analyser
from shared.text.embedding import Embedder
from web.app import create_app, end_streams
from web.digests.relay import DigestRelay
from web.ops import begin_drain
from web.protocol import BoundedProtocol

_GRACE_S = 2


class _Server(Server):
    """uvicorn without its signal handlers: whoever composes the process decides when it ends."""

    def __init__(self, config: Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()


async def serve_web(
    settings: Settings,
    broker: Broker,
    store: Store,
    *,
    node_id: str,
    sock: socket.socket,
    stop: asyncio.Event,
    ready: asyncio.Event | None = None,
    extra_ready: Callable[[], bool] | None = None,
    drain_s: float = 0.0,
    analyser: Analyser | None = None,
    embedder: Embedder | None = None,
) -> None:
    """Serve on `sock` (bound by the caller) until `stop` is set, and for `drain_s` more while /acceptz says 503; then
    within 3 s end streams and requests.

    `ready` is set once requests are answered. `broker` and `store` stay open. `analyser`, `embedder`: such that others
    use too; they are closed here. Raises ConfigError.
    """
    app = create_app(
        *(settings, broker, store), node_id=node_id, extra_ready=extra_ready, analyser=analyser, embedder=embedder
    )
    config = Config(
        app,
        http=BoundedProtocol,
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # uvicorn would believe any X-Forwarded-For of this machine; see web/auth/address.py
        timeout_graceful_shutdown=_GRACE_S,
    )
    started = ready or asyncio.Event()
    server = _Server(config, started.set)

    async def end_on_stop() -> None:
        await stop.wait()
        begin_drain(app)
        await asyncio.sleep(drain_s)
        end_streams(app)
        server.should_exit = True

    async with asyncio.TaskGroup() as tasks:
        stale_after = timedelta(seconds=settings.worker.stale_after_s)
        recovering = tasks.create_task(recovery.run(store, broker, stale_after))
        recovering_jobs = tasks.create_task(job_recovery.run(store, broker, stale_after))
        asking = tasks.create_task(DigestRelay(store, broker, settings).run())
        tidying = tasks.create_task(forgetting.run(store, settings.retention))
        ending = tasks.create_task(end_on_stop())
        await server.serve(sockets=[sock])
        ending.cancel()
        recovering.cancel()
        recovering_jobs.cancel()
        asking.cancel()
        tidying.cancel()
