"""Connections whose other side is not as it should be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from quart import Quart

from web.bodies import LargeBodies
from web.connection import LARGE_BODIES, LightConnection

_SCOPE: Any = {
    "type": "http",
    "http_version": "1.1",
    "asgi": {},
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "query_string": b"",
    "extensions": {},
}


async def _answer(fault: Exception | None = None, host: bytes = b"localhost") -> list[Any]:
    """What was sent."""
    app = Quart(__name__)
    sent: list[Any] = []
    app.asgi_http_class = LightConnection
    app.extensions[LARGE_BODIES] = LargeBodies(lambda path, content_type: None)

    @app.get("/")
    async def home() -> str:
        return "x"

    events = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        return next(events, None) or await asyncio.Event().wait()  # the client stays

    async def send(event: Any) -> None:
        if fault:
            raise fault
        sent.append(event)

    await app.asgi_app(_SCOPE | {"headers": [(b"host", host)]}, receive, send)
    return sent


async def test_it_is_no_error_that_nobody_takes_the_answer() -> None:
    await _answer(RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"))


@pytest.mark.parametrize("host", [b".1", b"a..b", b"9" * 400])
async def test_a_host_that_is_no_host_is_refused(host: bytes) -> None:
    begin, *_, end = await _answer(host=host)

    assert begin["status"] == 400
    assert not end["more_body"]


async def test_other_faults_stay_faults() -> None:
    with pytest.raises(RuntimeError, match="shorter"):
        await _answer(RuntimeError("Response content shorter than Content-Length"))
