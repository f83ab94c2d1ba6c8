"""HTTP/1.1 on one connection, with an end to what somebody may send and to the time it may take.

uvicorn reads headers as long as they come, and its keep-alive time begins anew with every byte. Here a head (and what
else is neither head nor body: trailers, blank lines) is at most 64 KiB and 10 s long, and a body at most 75 s: the
application gives up after 60 s and says so itself (408).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class _HeadTooLong(Exception):
    """Stops the parser."""


class BoundedProtocol(HttpToolsProtocol):
    """What uvicorn makes for every connection."""

    most_head_bytes = 64 * 1024
    head_s = 10.0
    body_s = 75.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0  # of the fields of this message
        self._unused_bytes = 0  # received since the last piece of a body, or the last message
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._ends_in(self.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ends_in(None)
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deadline is None and self._is_idle():  # blank lines before a request are part of its head
            self._ends_in(self.head_s)
        self._unused_bytes += len(data)
        super().data_received(data)
        if self._unused_bytes > self.most_head_bytes and not self._is_refused:
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        if self._deadline is None:
            self._ends_in(self.head_s)

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        waits = not self._is_idle()  # behind an answer: nothing of it is read until that has ended
        super().on_headers_complete()
        self._unused_bytes = 0
        self._ends_in(None if waits else self.body_s)

    def on_body(self, body: bytes) -> None:
        self._unused_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unused_bytes = 0
        self._ends_in(None)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What was not HTTP, or too much of it."""
        is_too_long = max(self._head_bytes, self._unused_bytes) > self.most_head_bytes
        self._is_refused = True
        if not is_too_long:
            super().send_400_response(msg)
            return
        if self._is_idle():
            self.transport.write(_REFUSAL)
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.most_head_bytes:
            raise _HeadTooLong

    def _is_idle(self) -> bool:
        """Nothing is being answered."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def _ends_in(self, seconds: float | None) -> None:
        """Close the connection then, unless this is called again before."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self.transport.close)
