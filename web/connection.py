"""Quart's handling of one request, lighter while it streams: a node holds thousands of silent streams."""

from __future__ import annotations

import asyncio
import contextlib

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent
from quart import Request, Response
from quart.asgi import ASGIHTTPConnection
from quart.typing import ResponseTypes
from werkzeug.exceptions import BadHost

from web.bodies import HeldBody, LargeBodies

LARGE_BODIES = "nunmal_large_bodies"  # of an app's extensions

_CLOSED = "the handler is closed"  # uvloop's words


class _Closed(Exception):
    """Nobody takes the answer any more."""


class LightConnection(ASGIHTTPConnection):
    """Forgets the headers and the body of a request when its events begin: nobody reads them any more.

    What follows a request on its connection may be no HTTP. uvicorn then closes the connection at once, and the answer
    that was in the making has nowhere to go: no error of ours. And a Host that is no name of a host is refused: Quart
    finds out before there is a request that the application could refuse. A large body waits for who reads it.
    """

    _request: Request

    def _create_request_from_scope(self, send: ASGISendCallable) -> Request:
        request = super()._create_request_from_scope(send)
        large_bodies: LargeBodies = self.app.extensions[LARGE_BODIES]
        large_bodies.hold(request, self.app.config["MAX_CONTENT_LENGTH"])
        return request

    async def handle_messages(self, request: Request, receive: ASGIReceiveCallable) -> None:
        if isinstance(request.body, HeldBody):
            wanted = asyncio.Event()
            request.body.on_wanted(wanted.set)
            await wanted.wait()
        await super().handle_messages(request, receive)

    async def handle_request(self, request: Request, send: ASGISendCallable) -> None:
        async def send_if_open(event: ASGISendEvent) -> None:
            try:
                await send(event)
            except RuntimeError as error:
                if _CLOSED in str(error):
                    raise _Closed from error
                raise

        self._request = request
        with contextlib.suppress(_Closed):
            try:
                await super().handle_request(request, send_if_open)
            except BadHost:
                await self._send_response(send_if_open, Response(status=400, content_type="text/plain"))

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        if response.mimetype == "text/event-stream":
            vars(self._request).clear()
            self.scope["headers"].clear()  # type: ignore[attr-defined]  # uvicorn's list
        await super()._send_response(send, response)
