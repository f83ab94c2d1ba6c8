"""`nunmal ingest`: a worker that reads documents, indexes them anew and digests articles. Needs NUNMAL_BROKER_URL and
NUNMAL_STORE_URL."""

from __future__ import annotations

import asyncio
from typing import Any

import uvloop

from shared.broker.rabbitmq import RabbitBroker
from shared.entrypoint import announce_ready, require, stop_on_signals
from shared.settings import Settings
from shared.side_door import Health
from shared.store import Store
from shared.telemetry import configure_logging
from shared.text.analyser import Analyser
from shared.text.embedders import embedder_of, load
from shared.watched import watched
from workers.digest.work import digesting_work
from workers.ingest.reindexing import reindexing_work
from workers.ingest.work import reading_work
from workers.jobs.serve import serve_jobs
from workers.jobs.work import JobWork


def main(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises NunmalError if it cannot start."""
    configure_logging(settings.log_format, settings.log_level)
    require(settings, "ingest", "broker_url", "store_url")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    assert settings.broker_url is not None and settings.store_url is not None
    stop, ready = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop)
    async with (
        watched(settings, "ingest", Health(ready, stop)),
        Store(settings.store_url.get_secret_value(), settings.store_database) as store,
        RabbitBroker(settings.broker_url.get_secret_value()) as broker,
        asyncio.TaskGroup() as tasks,
    ):
        announcing = tasks.create_task(_announce(ready))
        analyser, embedder = Analyser(), embedder_of(settings.embedding)
        works: tuple[JobWork[Any], ...] = (
            reading_work(settings, store, analyser, embedder),
            reindexing_work(settings, store, analyser, embedder),
            digesting_work(settings, store, analyser),
        )
        are_ready = [asyncio.Event() for _ in works]
        try:
            await load(embedder, settings.embedding)
            async with asyncio.TaskGroup() as rooms:
                for work, is_ready in zip(works, are_ready, strict=True):
                    rooms.create_task(serve_jobs(settings, broker, store, work, ready=is_ready, stop=stop))
                await asyncio.gather(*(is_ready.wait() for is_ready in are_ready))
                ready.set()
        finally:
            embedder.close()
            await analyser.close()
        announcing.cancel()


async def _announce(ready: asyncio.Event) -> None:
    await ready.wait()
    announce_ready("Nunmal ingest")
