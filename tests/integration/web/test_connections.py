"""What one connection may send and how long it may take, over raw sockets."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from shared.broker.memory import MemoryBroker
from shared.ids import new_id
from shared.store import Store
from tests.web_visitor import web_settings
from web.listening import listening
from web.protocol import BoundedProtocol
from web.serve import serve_web

pytestmark = pytest.mark.timeout(60)

_START = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
_CHUNKED = b"POST /language HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class _Served:
    port: int

    async def said_to(self, start: bytes, piece: bytes, most: int) -> tuple[bytes, int]:
        """What is answered until the connection is closed, and how much of `piece`, sent again and again, it took."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(start)
        sent = 0
        answer = asyncio.create_task(reader.read())
        try:
            async with asyncio.timeout(20):
                while sent < most and not answer.done():
                    writer.write(piece)
                    await writer.drain()
                    sent += len(piece)
                    await asyncio.sleep(0)
        except ConnectionError:
            pass
        try:
            async with asyncio.timeout(20):
                return await answer, sent
        except ConnectionError:
            return b"", sent
        finally:
            writer.close()


@pytest.fixture
async def served(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[_Served]:
    stop, ready = asyncio.Event(), asyncio.Event()
    with listening("127.0.0.1", 0) as sock:
        serving = asyncio.create_task(
            serve_web(web_settings(), memory_broker, store, node_id=new_id(), sock=sock, stop=stop, ready=ready)
        )
        async with asyncio.timeout(20):
            await ready.wait()
            yield _Served(sock.getsockname()[1])
            stop.set()
            await serving


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (_START, b"X-Header: " + b"x" * 1000 + b"\r\n"),
        (_START, b"x" * 1000),
        (_START + b"X: ", b"x" * 1000),
        (b"GET /", b"x" * 1000),
        (b"", b"\r\n" * 500),
        (_CHUNKED + b"0\r\n", b"X-Trailer: " + b"x" * 1000 + b"\r\n"),
        (_CHUNKED + b"0\r\nX: ", b"x" * 1000),
        (_CHUNKED + b"1;", b"x" * 1000),
    ],
)
async def test_a_head_without_end_is_refused_and_forgotten(served: _Served, start: bytes, piece: bytes) -> None:
    answer, sent = await served.said_to(start, piece, 32 * 1024 * 1024)

    assert sent < 32 * 1024 * 1024
    assert answer == b"" or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 4"))
    connections = [each for each in gc.get_objects() if type(each) is BoundedProtocol]
    assert all(each.transport.is_closing() for each in connections)


async def test_headers_of_64_kib_in_one_piece_are_refused_with_431_and_of_60_are_read(served: _Served) -> None:
    many, _ = await served.said_to(_START + b"A: b\r\n" * 9000 + b"Connection: close\r\n\r\n", b"", 0)
    too_many, _ = await served.said_to(_START + (b"A: " + b"b" * 900 + b"\r\n") * 80 + b"\r\n", b"", 0)

    assert many.startswith(b"HTTP/1.1 200 ")
    assert too_many.startswith(b"HTTP/1.1 431 ")
    assert b"connection: close" in too_many


@pytest.mark.parametrize("start", [b"", b"G", _START, b"\r\n", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n"])
async def test_a_head_that_does_not_end_in_time_ends_the_connection(
    served: _Served, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(BoundedProtocol, "head_s", 0.2)
    answer, _ = await served.said_to(start, b"", 0)

    assert answer.count(b"HTTP/1.1 200 ") == start.count(b"\r\n\r\n")


@pytest.mark.parametrize("start", [b"\r\n", _START])
async def test_more_of_a_head_does_not_buy_more_time(
    served: _Served, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(BoundedProtocol, "head_s", 0.3)
    monkeypatch.setattr(BoundedProtocol, "most_head_bytes", 1 << 40)
    answer, sent = await served.said_to(start, b"\r\n" if start == b"\r\n" else b"A: b\r\n", 1 << 40)

    assert sent > 0
    assert answer == b""


async def test_a_body_that_does_not_end_in_time_ends_the_connection(
    served: _Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "body_s", 0.2)
    head = b"POST /language HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    answer, _ = await served.said_to(head + b"a", b"", 0)

    assert answer == b""


async def test_a_connection_serves_one_request_after_another(served: _Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    async with asyncio.timeout(10):
        for _ in range(3):
            writer.write(_START + b"\r\n")
            assert b"HTTP/1.1 200 " in await reader.readuntil(b"\r\n\r\n")
    writer.close()
