"""`nunmal worker`: one worker. Needs NUNMAL_BROKER_URL and NUNMAL_STORE_URL."""

from __future__ import annotations

import asyncio

import uvloop

from shared.broker.rabbitmq import RabbitBroker
from shared.entrypoint import announce_ready, open_metrics, require, say, stop_on_signals
from shared.settings import Settings
from shared.store import Store
from shared.telemetry import configure_logging
from workers.serve import serve_worker


def main(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises NunmalError if it cannot start."""
    configure_logging(settings.log_format, settings.log_level)
    require(settings, "worker", "broker_url", "store_url")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    assert settings.broker_url is not None and settings.store_url is not None
    stop, ready = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop)
    open_metrics(settings.metrics_port)
    say(f"loading the model {settings.model_name}")
    store_url, broker_url = settings.store_url.get_secret_value(), settings.broker_url.get_secret_value()
    async with (
        Store(store_url, settings.store_database) as store,
        RabbitBroker(broker_url) as broker,
        asyncio.TaskGroup() as tasks,
    ):
        announcing = tasks.create_task(_announce(ready))
        await serve_worker(settings, broker, store, ready=ready, stop=stop)
        announcing.cancel()


async def _announce(ready: asyncio.Event) -> None:
    await ready.wait()
    announce_ready("Nunmal worker")
