"""`nunmal web`: one web node. Needs NUNMAL_BROKER_URL, NUNMAL_STORE_URL and NUNMAL_SECRET_KEY."""

from __future__ import annotations

import asyncio
import socket

import uvloop

from shared.broker.rabbitmq import RabbitBroker
from shared.entrypoint import announce_ready, require, stop_on_signals
from shared.ids import new_id
from shared.settings import Settings
from shared.side_door import Health
from shared.store import Store
from shared.telemetry import configure_logging
from shared.watched import watched
from web.listening import address_of, allow_many_streams, listening
from web.serve import serve_web


def main(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises NunmalError if it cannot start."""
    configure_logging(settings.log_format, settings.log_level)
    require(settings, "web", "broker_url", "store_url", "secret_key")
    allow_many_streams()
    with (
        listening(settings.web.host, settings.web.port) as sock,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(settings, sock))


async def _serve(settings: Settings, sock: socket.socket) -> None:
    assert settings.broker_url is not None and settings.store_url is not None
    stop, ready = asyncio.Event(), asyncio.Event()
    drain_s = settings.web.drain_s
    stop_on_signals(stop, drain_s)
    store_url, broker_url = settings.store_url.get_secret_value(), settings.broker_url.get_secret_value()
    async with (
        watched(settings, "web", Health(ready, stop)),
        Store(store_url, settings.store_database) as store,
        RabbitBroker(broker_url) as broker,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(
            serve_web(settings, broker, store, node_id=new_id(), sock=sock, stop=stop, ready=ready, drain_s=drain_s)
        )
        await ready.wait()
        announce_ready("Nunmal web", address_of(settings.web.host, sock))
