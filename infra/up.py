"""`nunmal up`: web, one worker and an embedded broker in one process, the embedded store as its child.

The one place, beside the command line, that knows more than one room. It builds the parts, hands them to one
another, and ends them in order; nothing else belongs here.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator

import uvloop
from pydantic import SecretStr
from web.serve import serve_web

from infra.embedded_store import embedded_store
from infra.home import opened_home, secret_key
from shared.broker.base import Broker
from shared.broker.memory import MemoryBroker
from shared.broker.rabbitmq import RabbitBroker
from shared.errors import ConfigError
from shared.ids import new_id
from shared.settings import Settings
from shared.store import Store
from shared.telemetry import configure_logging, start_metrics

_SHUTDOWN_S = 4.5  # after a signal; then the process ends itself, whatever still runs


def up(settings: Settings) -> None:
    """Run until Ctrl-C or SIGTERM. Raises NunmalError if it cannot start."""
    configure_logging(settings.log_format, settings.log_level)
    with _listening(settings.web.host, settings.web.port) as web_socket, opened_home(settings.home) as home:
        key = settings.secret_key or SecretStr(secret_key(home))
        settings = settings.model_copy(update={"home": home, "secret_key": key})
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, web_socket))


async def _serve(settings: Settings, web_socket: socket.socket) -> None:
    stop, worker_is_ready = asyncio.Event(), asyncio.Event()
    _stop_on_signals(stop)
    _say("starting the store")
    async with _store(settings) as store, _broker(settings) as broker:
        metrics_port = _start_metrics(settings.metrics_port)
        _say(f"loading the model {settings.model_name}")
        # Heavy imports off the event loop: the pages are served meanwhile.
        worker_room = await asyncio.to_thread(importlib.import_module, "workers.serve")
        async with asyncio.TaskGroup() as rooms:
            rooms.create_task(
                serve_web(
                    settings,
                    broker,
                    store,
                    node_id=new_id(),
                    sock=web_socket,
                    stop=stop,
                    extra_ready=worker_is_ready.is_set,
                )
            )
            rooms.create_task(worker_room.serve_worker(settings, broker, store, stop=stop, ready=worker_is_ready))
            if await _first(worker_is_ready, stop) is worker_is_ready:
                address = _address(settings.web.host, web_socket)
                _say(f"metrics are at http://127.0.0.1:{metrics_port}/metrics")
                print(f"Nunmal is ready: {address}", flush=True)
            await stop.wait()
            _say("stopping; conversations are kept")


def _say(sentence: str) -> None:
    print(f"nunmal: {sentence}", file=sys.stderr, flush=True)


def _stop_on_signals(stop: asyncio.Event) -> None:
    def on_signal() -> None:
        if stop.is_set():  # a second Ctrl-C
            os._exit(1)
        stop.set()
        overdue = threading.Timer(_SHUTDOWN_S, os._exit, (1,))
        overdue.daemon = True
        overdue.start()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)


async def _first(*events: asyncio.Event) -> asyncio.Event:
    """The event that is set first."""
    waiting = {asyncio.create_task(event.wait()): event for event in events}
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    return waiting[done.pop()]


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port before anything slow happens. Raises ConfigError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(2048)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"port {port} on {host} cannot be used ({reason}); choose another: make run PORT=8123"
            ) from error
        listener.setblocking(False)
        yield listener


def _address(host: str, listener: socket.socket) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - shown, not bound
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{listener.getsockname()[1]}"


@contextlib.asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Store]:
    async with contextlib.AsyncExitStack() as stack:
        if settings.store_url is not None:
            url = settings.store_url.get_secret_value()
        else:
            url = await stack.enter_async_context(embedded_store(settings.home / "store"))
        yield await stack.enter_async_context(Store(url, settings.store_database))


@contextlib.asynccontextmanager
async def _broker(settings: Settings) -> AsyncIterator[Broker]:
    if settings.broker_url is None:
        async with MemoryBroker() as memory:
            yield memory
    else:
        async with RabbitBroker(settings.broker_url.get_secret_value()) as rabbit:
            yield rabbit


def _start_metrics(port: int) -> int:
    try:
        return start_metrics(port)
    except OSError as error:
        raise ConfigError(f"NUNMAL_METRICS_PORT={port} cannot be used ({error.strerror})") from error
