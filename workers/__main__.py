"""`nunmal worker`: one worker. Needs NUNMAL_BROKER_URL and NUNMAL_STORE_URL."""

from __future__ import annotations

import asyncio

import uvloop

from shared.broker.rabbitmq import RabbitBroker
from shared.entrypoint import announce_ready, require, say, stop_on_signals, stop_with_supervisor
from shared.settings import Settings
from shared.side_door import Health
from shared.store import Store
from shared.telemetry import configure_logging
from shared.watched import watched
from workers.serve import serve_worker


def main(settings: Settings, *, is_supervised: bool = False) -> None:
    """Serve until Ctrl-C or SIGTERM, or until standard input ends (`is_supervised`: a supervisor holds it).

    Raises NunmalError if it cannot start.
    """
    configure_logging(settings.log_format, settings.log_level)
    require(settings, "worker", "broker_url", "store_url")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, is_supervised))


async def _serve(settings: Settings, is_supervised: bool) -> None:
    assert settings.broker_url is not None and settings.store_url is not None
    stop, ready, hurry = asyncio.Event(), asyncio.Event(), asyncio.Event()
    drain_s = settings.worker.drain_s
    stop_on_signals(stop, drain_s, ends_on_second=not is_supervised)
    if is_supervised:
        stop_with_supervisor(stop, hurry)
    say(f"loading the model {settings.model_name}")
    store_url, broker_url = settings.store_url.get_secret_value(), settings.broker_url.get_secret_value()
    async with (
        watched(settings, "worker", Health(ready, stop)),
        Store(store_url, settings.store_database) as store,
        RabbitBroker(broker_url) as broker,
        asyncio.TaskGroup() as tasks,
    ):
        announcing = tasks.create_task(_announce(ready))
        await serve_worker(settings, broker, store, ready=ready, stop=stop, drain_s=drain_s, hurry=hurry)
        announcing.cancel()


async def _announce(ready: asyncio.Event) -> None:
    await ready.wait()
    announce_ready("Nunmal worker")
