"""Quart's handling of one request, lighter while it streams: a node holds thousands of silent streams."""

from __future__ import annotations

from hypercorn.typing import ASGISendCallable
from quart import Request
from quart.asgi import ASGIHTTPConnection
from quart.typing import ResponseTypes


class LightConnection(ASGIHTTPConnection):
    """Forgets the headers and the body of a request when its events begin: nobody reads them any more."""

    _request: Request

    async def handle_request(self, request: Request, send: ASGISendCallable) -> None:
        self._request = request
        await super().handle_request(request, send)

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        if response.mimetype == "text/event-stream":
            vars(self._request).clear()
            self.scope["headers"].clear()  # type: ignore[attr-defined]  # uvicorn's list
        await super()._send_response(send, response)
