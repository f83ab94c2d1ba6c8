"""The server inside somebody else's event loop: it says when it is ready and ends when it is told."""

from __future__ import annotations

import asyncio
import signal
import socket
import time

import pytest

from shared.broker.memory import MemoryBroker
from shared.errors import ConfigError
from shared.ids import new_id
from shared.store import Store
from tests.web_visitor import WebVisitor, web_settings
from web.app import create_app
from web.listening import address_of, listening
from web.serve import serve_web


async def test_with_a_stream_open_it_ends_within_three_seconds(store: Store, memory_broker: MemoryBroker) -> None:
    visitor = WebVisitor(create_app(web_settings(), memory_broker, store, node_id=new_id()))
    await visitor.sign_up()
    await visitor.ask("기다릴게요")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.client.cookie_jar or ())
    stop, ready = asyncio.Event(), asyncio.Event()
    with listening("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        serving = asyncio.create_task(
            serve_web(web_settings(), memory_broker, store, node_id=new_id(), sock=sock, stop=stop, ready=ready)
        )
        async with asyncio.timeout(20):
            await ready.wait()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            request = f"GET {visitor.stream_url} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookies}\r\n\r\n"
            writer.write(request.encode())
            head = await reader.readuntil(b"event: state")
            started = time.monotonic()
            stop.set()
            rest = await reader.read()
            await serving
            took_s = time.monotonic() - started
            writer.close()

    assert b"text/event-stream; charset=utf-8" in head
    assert b"event: reconnect" in rest
    assert took_s < 3


async def test_it_leaves_signals_to_the_caller(store: Store, memory_broker: MemoryBroker) -> None:
    before = signal.getsignal(signal.SIGTERM)
    stop, ready = asyncio.Event(), asyncio.Event()
    with listening("127.0.0.1", 0) as sock:
        serving = asyncio.create_task(
            serve_web(web_settings(), memory_broker, store, node_id=new_id(), sock=sock, stop=stop, ready=ready)
        )
        async with asyncio.timeout(20):
            await ready.wait()
            during = signal.getsignal(signal.SIGTERM)
            stop.set()
            await serving

    assert during == before


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 cannot be used"), listening("127.0.0.1", port):
            pass


def test_an_address_can_be_opened_by_a_person() -> None:
    with listening("0.0.0.0", 0) as sock:  # noqa: S104  # closed at once
        assert address_of("0.0.0.0", sock).startswith("http://127.0.0.1:")  # noqa: S104
