"""`nunmal up`: web, its workers and an embedded broker in one process, the embedded store as its child.

The one place, beside the command line, that knows more than one room. It builds the parts, hands them to one
another, and ends them in order; nothing else belongs here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import uvloop
from pydantic import SecretStr

from infra.embedded_store import embedded_store
from infra.home import noted_pages, noted_store, opened_home, secret_key
from shared.broker.base import Broker
from shared.broker.memory import MemoryBroker
from shared.broker.rabbitmq import RabbitBroker
from shared.entrypoint import announce_ready, first_of, say, stop_on_signals
from shared.errors import EngineLost, NunmalError
from shared.ids import new_id
from shared.settings import Settings
from shared.side_door import Health
from shared.store import Store
from shared.telemetry import configure_logging
from shared.text.analyser import Analyser
from shared.text.embedders import embedder_of, load
from shared.watched import watched
from web.listening import address_of, allow_many_streams, listening
from web.serve import serve_web
from workers.digest.work import digesting_work
from workers.ingest.reindexing import reindexing_work
from workers.ingest.work import reading_work
from workers.jobs.serve import serve_jobs
from workers.jobs.work import JobWork
from workers.serve import serve_worker


def up(settings: Settings) -> None:
    """Run until Ctrl-C or SIGTERM. Raises NunmalError if it cannot start."""
    os.umask(0o077)  # what we and the store write is nobody else's to read
    configure_logging(settings.log_format, settings.log_level)
    allow_many_streams()
    with (
        listening(settings.web.host, settings.web.port) as web_socket,
        opened_home(settings.home) as home,
        noted_pages(home, address_of(settings.web.host, web_socket)),
    ):
        key = settings.secret_key or SecretStr(secret_key(home))
        settings = settings.model_copy(update={"home": home, "secret_key": key})
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, web_socket))


async def _serve(settings: Settings, web_socket: socket.socket) -> None:
    stop, worker_is_ready = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop)
    say("starting the store")
    health = Health(worker_is_ready, stop)
    async with (
        watched(settings, "up", health),
        _store(settings) as store,
        _broker(settings) as broker,
    ):
        say(f"loading the model {settings.model_name}")
        failures: list[NunmalError] = []

        async def room(work: Awaitable[None]) -> None:
            """A room that fails or ends takes the others along, in order rather than by cancelling them."""
            try:
                await work
            except NunmalError as error:
                failures.append(error)
            finally:
                stop.set()

        analyser = Analyser()  # one dictionary in memory for all, and one model that embeds
        embedder = embedder_of(settings.embedding)
        if settings.embedding.model:
            say(f"loading the model that embeds, {settings.embedding.model}")
            await load(embedder, settings.embedding)
        web = serve_web(
            *(settings, broker, store),
            node_id=new_id(),
            sock=web_socket,
            stop=stop,
            extra_ready=worker_is_ready.is_set,
            analyser=analyser,
            embedder=embedder,
        )
        works: tuple[JobWork[Any], ...] = (
            reading_work(settings, store, analyser, embedder),
            reindexing_work(settings, store, analyser, embedder),
            digesting_work(settings, store, analyser),
        )
        jobs = [
            serve_jobs(settings, broker, store, work, ready=asyncio.Event(), stop=stop, drain=asyncio.Event())
            for work in works
        ]

        async def worker() -> None:
            """Anew when its engine's process has ended, which one answer may have caused."""
            while True:
                try:
                    return await serve_worker(
                        settings, broker, store, stop=stop, ready=worker_is_ready, drain=asyncio.Event()
                    )
                except EngineLost as error:
                    worker_is_ready.clear()
                    say(f"{error}; loading it again")

        async with asyncio.TaskGroup() as rooms:
            rooms.create_task(room(web))
            rooms.create_task(room(worker()))
            for job in jobs:
                rooms.create_task(room(job))
            if await first_of(worker_is_ready, stop) is worker_is_ready:
                announce_ready("Nunmal", address_of(settings.web.host, web_socket))
            await stop.wait()
            if not failures:
                say("stopping; conversations are kept")
        if failures:
            raise failures[0]


@contextlib.asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    async with contextlib.AsyncExitStack() as stack:
        if settings.store_url is not None:
            url = settings.store_url.get_secret_value()
        else:
            url = await stack.enter_async_context(embedded_store(settings.home / "store"))
            stack.enter_context(noted_store(settings.home, url))
        yield await stack.enter_async_context(Store(url, settings.store_database))


@contextlib.asynccontextmanager
async def _broker(settings: Settings) -> AsyncIterator[Broker]:
    if settings.broker_url is None:
        async with MemoryBroker() as memory:
            yield memory
    else:
        async with RabbitBroker(settings.broker_url.get_secret_value()) as rabbit:
            yield rabbit
