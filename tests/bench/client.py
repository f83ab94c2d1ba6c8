"""A browser reduced to what costs nothing: forms and event streams over plain sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from shared.ids import new_id

_EVENT_END = b"\n\n"


@dataclass(frozen=True, slots=True)
class Event:
    """One Server-Sent Event; comments have no name."""

    name: str
    data: dict[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in."""

    address: str
    user_id: str
    token: str
    csrf_token: str

    async def ask(self, message: str) -> str:
        """Ask a first question; returns its id, which is also its conversation's."""
        generation_id = new_id()
        await self._post("/chat", message=message, generation_id=generation_id)
        return generation_id

    async def stop(self, conversation_id: str) -> None:
        """The conversation's last answer."""
        await self._post(f"/chat/{conversation_id}/stop")

    async def events(self, generation_id: str, conversation_id: str = "") -> AsyncGenerator[Event, None]:
        """All events of one answer's stream, comments too, until the server ends it."""
        path = f"/chat/{conversation_id or generation_id}/stream/{generation_id}"
        async with self._request(f"GET {path} HTTP/1.1\r\n") as (status, reader):
            if status != 200:
                raise RuntimeError(f"the stream was refused with {status}")
            buffer = b""
            while size := int(await reader.readline(), 16):
                buffer += (await reader.readexactly(size + 2))[:-2]
                while (end := buffer.find(_EVENT_END)) >= 0:
                    event, buffer = buffer[:end], buffer[end + 2 :]
                    yield _event(event)

    async def _post(self, path: str, **form: str) -> None:
        body = urlencode(form | {"csrf_token": self.csrf_token}).encode()
        headers = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        async with self._request(f"POST {path} HTTP/1.1\r\n{headers}", body) as (status, _reader):
            if status != 303:
                raise RuntimeError(f"{path} was refused with {status}")

    @contextlib.asynccontextmanager
    async def _request(self, head: str, body: bytes = b"") -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
        """A connection for one request: its status, and what follows the headers."""
        url = urlsplit(self.address)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        try:
            cookie = f"Cookie: nunmal_session={self.token}\r\n"
            writer.write(f"{head}Host: {url.netloc}\r\n{cookie}\r\n".encode() + body)
            status = int((await reader.readline()).split()[1])
            while (await reader.readline()) != b"\r\n":
                pass
            yield status, reader
        finally:
            writer.close()


def _event(lines: bytes) -> Event:
    fields = dict(line.split(b": ", 1) for line in lines.split(b"\n") if b": " in line)
    data = fields.get(b"data")
    told = json.loads(data) if data else {}
    return Event(fields.get(b"event", b"").decode(), told, fields.get(b"id", b"").decode())
