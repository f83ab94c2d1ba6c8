"""The port of a process that is for operators only: its metrics, its health, and a way to ask it to end.

`GET /metrics`, `/healthz` (the event loop turns), `/startupz` (it has been ready once), `/readyz` (it serves and does
not end), `POST /drain` (as SIGTERM: finish or hand back, then end). It has no password: keep it to loopback or to a
network of operators. It answers from threads of its own, so it tells of an event loop that is stuck.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.entrypoint import say
from shared.errors import ConfigError
from shared.metrics import BUILD_INFO, DRAINING, EVENT_LOOP_LAG, EVENT_LOOP_TASKS
from shared.settings import PREFIX

_TICK_S = 0.25
_STUCK_AFTER_S = 10.0
_SOCKET_TIMEOUT_S = 10.0
_POLL_S = 0.05


class Health:
    """How a process stands. Its event loop turns as long as `watch_loop` runs there."""

    def __init__(self, ready: asyncio.Event, stop: asyncio.Event) -> None:
        self._ready = ready
        self._stop = stop
        self._ticked_at = time.monotonic()
        self._was_ready = False

    @property
    def is_alive(self) -> bool:
        return time.monotonic() - self._ticked_at < _STUCK_AFTER_S

    @property
    def is_started(self) -> bool:
        self._was_ready = self._was_ready or self._ready.is_set()
        return self._was_ready

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set() and not self._stop.is_set()

    async def watch_loop(self) -> None:
        """Until cancelled; also measures how late the event loop wakes."""
        loop = asyncio.get_running_loop()
        EVENT_LOOP_TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))  # counted when somebody asks
        DRAINING.set_function(self._stop.is_set)
        while True:
            asked_at = loop.time()
            await asyncio.sleep(_TICK_S)
            EVENT_LOOP_LAG.observe(max(0.0, loop.time() - asked_at - _TICK_S))
            self._ticked_at = time.monotonic()


def end_in_order() -> None:
    """What SIGTERM does, whoever asks."""
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.asynccontextmanager
async def side_door(
    host: str, port: int, room: str, health: Health, drain: Callable[[], None] = end_in_order
) -> AsyncIterator[int]:
    """Open while inside; gives the port chosen. Raises ConfigError if it cannot be had."""
    BUILD_INFO.labels(version("nunmal"), room).set(1)
    try:
        server = _Server((host, port), health, drain)
    except OSError as error:
        raise ConfigError(f"{PREFIX}METRICS_PORT={port} cannot be used ({error.strerror})") from error
    chosen = int(server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(_POLL_S,), name="side-door", daemon=True).start()
    say(f"metrics are at http://{host}:{chosen}/metrics")
    watching = asyncio.create_task(health.watch_loop())
    try:
        yield chosen
    finally:
        watching.cancel()
        await asyncio.to_thread(server.shutdown)
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], health: Health, drain: Callable[[], None]) -> None:
        self.health = health
        self.drain = drain
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "nunmal"
    sys_version = ""
    timeout = _SOCKET_TIMEOUT_S

    def do_GET(self) -> None:
        health = self.server.health
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(), CONTENT_TYPE_LATEST)
            case "/healthz":
                self._tell("alive", health.is_alive)
            case "/startupz":
                self._tell("started", health.is_started)
            case "/readyz":
                self._tell("ready", health.is_alive and health.is_ready)
            case _:
                self._answer(HTTPStatus.NOT_FOUND, b"")

    def do_POST(self) -> None:
        if self.path != "/drain":
            self._answer(HTTPStatus.NOT_FOUND, b"")
        elif "Origin" in self.headers or "Sec-Fetch-Site" in self.headers:  # some page in a browser of this machine
            self._answer(HTTPStatus.FORBIDDEN, b"")
        else:
            self._answer(HTTPStatus.ACCEPTED, b'{"draining": true}', "application/json")
            self.server.drain()

    def _tell(self, name: str, is_so: bool) -> None:
        status = HTTPStatus.OK if is_so else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer(status, json.dumps({name: is_so}).encode(), "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads of probes that come every second."""
