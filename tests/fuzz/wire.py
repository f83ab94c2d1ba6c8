"""HTTP/1.1 as bytes: requests that no library would send, over connections that are kept as long as they hold."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

_ANSWER_WITHIN_S = 20.0
_MOST_HEAD_BYTES = 1024 * 1024
_MOST_BODY_BYTES = 8 * 1024 * 1024

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """As it goes out; `Host` and `Content-Length` are added unless they are given or `is_exact`."""

    method: bytes
    target: bytes
    headers: Headers = ()
    body: bytes = b""
    is_exact: bool = False

    def raw(self, host: bytes) -> bytes:
        names = {name.lower() for name, _ in self.headers}
        own: list[tuple[bytes, bytes]] = []
        if not self.is_exact:
            if b"host" not in names:
                own.append((b"Host", host))
            if self.body and not names & {b"content-length", b"transfer-encoding"}:
                own.append((b"Content-Length", b"%d" % len(self.body)))
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in (*own, *self.headers))
        return self.method + b" " + self.target + b" HTTP/1.1\r\n" + lines + b"\r\n" + self.body

    def bearing(self, *headers: tuple[bytes, bytes]) -> Request:
        return replace(self, headers=(*headers, *self.headers))


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: the connection ended without one. Header names are lower-case."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        return next((value for each, value in self.headers if each == name), "")

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass
class Wire:
    """To one address; for any number of requests at the same time."""

    host: str
    port: int
    _idle: list[_Connection] = field(default_factory=list)

    @property
    def name(self) -> bytes:
        return f"{self.host}:{self.port}".encode()

    async def send(self, request: Request) -> Answer:
        """A well-formed request. Raises TimeoutError."""
        raw = request.raw(self.name)
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            if self._idle:
                connection = self._idle.pop()
                answer, is_kept = await self._exchange(connection, raw, request.method)
                if answer.status or request.method not in (b"GET", b"HEAD"):
                    self._put_back(connection, is_kept)
                    if answer.status:
                        return answer
            connection = await self._open()
            answer, is_kept = await self._exchange(connection, raw, request.method)
            self._put_back(connection, is_kept)
            return answer

    async def shout(self, pieces: Sequence[bytes], patience_s: float) -> Answer:
        """Bytes that may be no request; an answer is taken if one comes within `patience_s`."""
        connection = await self._open()
        try:
            async with asyncio.timeout(patience_s):
                for piece in pieces:
                    connection.writer.write(piece)
                    await connection.writer.drain()
                return (await _read(connection.reader, b"GET"))[0]
        except (TimeoutError, OSError):
            return Answer(0)
        finally:
            connection.writer.close()

    def close(self) -> None:
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()

    async def _open(self) -> _Connection:
        return _Connection(*await asyncio.open_connection(self.host, self.port, limit=_MOST_HEAD_BYTES))

    def _put_back(self, connection: _Connection, is_kept: bool) -> None:
        if is_kept:
            self._idle.append(connection)
        else:
            connection.writer.close()

    async def _exchange(self, connection: _Connection, raw: bytes, method: bytes) -> tuple[Answer, bool]:
        """And whether the connection can be used again."""
        try:
            connection.writer.write(raw)
            with contextlib.suppress(OSError):  # refused before it was read to its end: the answer is there
                await connection.writer.drain()
            return await _read(connection.reader, method)
        except BaseException:
            connection.writer.close()
            raise


async def _read(reader: asyncio.StreamReader, method: bytes) -> tuple[Answer, bool]:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head[:-4].decode("latin-1").split("\r\n")
            status = int(status_line.split(" ")[1])
            if status >= 200:
                break
        headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        answer = Answer(status, headers)
        if method == b"HEAD" or status in (204, 304):
            return answer, answer.header("connection") != "close"
        if answer.header("transfer-encoding") == "chunked":
            body = await _chunks(reader)
        elif length := answer.header("content-length"):
            body = await reader.readexactly(int(length))
        else:
            body = await reader.read(_MOST_BODY_BYTES)
        return replace(answer, body=body), answer.header("connection") != "close"
    except (OSError, EOFError, asyncio.LimitOverrunError):  # EOFError: IncompleteReadError
        return Answer(0), False


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body
