"""An answer to a connection that was closed under it."""

from __future__ import annotations

from typing import Any

import pytest
from quart import Quart

from web.connection import LightConnection

_SCOPE: Any = {
    "type": "http",
    "http_version": "1.1",
    "asgi": {},
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "query_string": b"",
    "headers": [(b"host", b"localhost")],
    "extensions": {},
}


async def _answer(fault: Exception) -> None:
    app = Quart(__name__)
    app.asgi_http_class = LightConnection

    @app.get("/")
    async def home() -> str:
        return "x"

    events = iter([{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(events)

    async def send(event: Any) -> None:
        raise fault

    await app.asgi_app(_SCOPE, receive, send)


async def test_it_is_no_error_that_nobody_takes_the_answer() -> None:
    await _answer(RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"))


async def test_other_faults_stay_faults() -> None:
    with pytest.raises(RuntimeError, match="shorter"):
        await _answer(RuntimeError("Response content shorter than Content-Length"))
