"""A browser-like client: HTTP only, a transcript of its own, and the reconnecting of chat-stream.js."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

from shared.ids import new_id
from tests.chaos.checker import Answer

_PASSWORD = "correct horse battery"
_AGAIN_S = 0.5  # until somebody presses the button again
_LONGEST_WAIT_S = 15.0
_THINKING_S = 3.0
_HIDDEN = re.compile(r'name="(csrf_token|generation_id)" value="([^"]+)"')
_TRANSPORT = (httpx.TransportError, ConnectionError)


class _Refused(Exception):
    """The stream was answered with a page."""


class Browser:
    """One person with one tab. `answer` is what they look at now, `answers` all they ever asked."""

    def __init__(self, name: str, nodes: Sequence[str], prompts: Sequence[str], choice: random.Random) -> None:
        self.name = name
        self.answers: list[Answer] = []
        self.answer: Answer | None = None
        self.problems: list[str] = []
        self._nodes = nodes
        self._prompts = prompts
        self._choice = choice
        self._client = httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_keepalive_connections=1))
        self._stream: asyncio.StreamWriter | None = None
        self._retry_s = 1.0

    async def close(self) -> None:
        await self._client.aclose()

    async def talk(self, stop: asyncio.Event) -> None:
        """Ask, read the answer to its end, think, and ask again, until `stop`."""
        while not stop.is_set():
            await self.read(await self.ask(self._choice.choice(self._prompts)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._choice.uniform(0, _THINKING_S)):
                    await stop.wait()

    async def sign_up(self) -> None:
        fields = {"email": f"{new_id()}@example.com", "name": self.name, "password": _PASSWORD}
        response = await self._post("/signup", fields | await self._hidden_fields("/signup"))
        if response.status_code != 303:
            raise RuntimeError(f"sign-up was answered with {response.status_code}")

    async def ask(self, prompt: str, *, is_poison: bool = False, is_patient: bool = True) -> Answer:
        """`is_patient`: sends a form that was refused with 503 again; else remembers that it was."""
        answer = Answer(prompt, "", is_poison=is_poison)
        form = await self._hidden_fields("/chat")
        answer.generation_id = form["generation_id"]
        self.answers.append(answer)
        await self._ask(answer, form, is_patient=is_patient)
        return answer

    async def read(self, answer: Answer) -> None:
        """Like an EventSource and the page around it: dropped connections after `retry`, refusals ever later."""
        self.answer = answer
        failures = 0
        while not answer.transcript.is_over:
            node = self._choice.choice(self._nodes)
            wait_s = self._retry_s
            try:
                async with contextlib.aclosing(self._events(node, answer)) as events:
                    async for event, event_id, data in events:
                        failures = 0
                        if event == "reconnect":
                            wait_s = _AGAIN_S
                            break
                        answer.transcript.apply(event, event_id, data, time.monotonic())
            except _Refused:
                wait_s = min(_LONGEST_WAIT_S, _AGAIN_S * 2**failures)
                failures += 1
            except (OSError, EOFError, ValueError):  # dropped, or cut in the middle of a line
                pass
            answer.node = ""
            if not answer.transcript.is_over:
                await asyncio.sleep(wait_s)

    async def ask_again(self, answer: Answer) -> None:
        """The same form once more: a double click, or a retry after an answer that was lost on the way."""
        form = await self._hidden_fields("/chat")
        await self._ask(answer, form | {"generation_id": answer.generation_id}, is_patient=True)

    async def stop(self, answer: Answer) -> None:
        """The button below the answer."""
        path = f"/chat/{answer.generation_id}"
        await self._post(f"{path}/stop", await self._hidden_fields("/chat"))

    def cut(self) -> None:
        """The network is gone in mid-stream."""
        if self._stream:
            self._stream.transport.abort()

    async def _ask(self, answer: Answer, form: dict[str, str], *, is_patient: bool) -> None:
        while True:
            response = await self._post("/chat", form | {"message": answer.prompt})
            if response.status_code == 303:
                if not response.headers["Location"].endswith(answer.generation_id):
                    self.problems.append(f"{answer.generation_id} became {response.headers['Location']}")
                return
            if response.status_code == 503 and not is_patient:
                answer.is_refused = True
                if "Retry-After" not in response.headers or answer.prompt not in response.text:
                    self.problems.append("a refusal without Retry-After or without what was typed")
                return
            if response.status_code not in (429, 500, 503):
                self.problems.append(f"a question was answered with {response.status_code}")
            await asyncio.sleep(float(response.headers.get("Retry-After", _AGAIN_S)))

    async def _hidden_fields(self, path: str) -> dict[str, str]:
        while True:
            page = await self._send("GET", path)
            if page.status_code == 200:
                return dict(_HIDDEN.findall(page.text))
            await asyncio.sleep(_AGAIN_S)

    async def _post(self, path: str, fields: dict[str, str]) -> httpx.Response:
        return await self._send("POST", path, fields)

    async def _send(self, method: str, path: str, fields: dict[str, str] | None = None) -> httpx.Response:
        """To either node, until one answers."""
        while True:
            try:
                return await self._client.request(method, self._choice.choice(self._nodes) + path, data=fields)
            except _TRANSPORT:
                await asyncio.sleep(_AGAIN_S)

    async def _events(self, node: str, answer: Answer) -> AsyncGenerator[tuple[str, str, dict[str, Any]], None]:
        """Plain sockets, because a thousand events a second are much work for a client library."""
        url = urlsplit(node)
        reader, writer = await asyncio.open_connection(url.hostname, url.port, limit=1 << 20)
        self._stream = writer
        try:
            writer.write(self._stream_request(url.netloc, answer))
            status = (await reader.readline()).split()[1:2]
            while await reader.readline() not in (b"\r\n", b""):
                pass
            if status != [b"200"]:
                raise _Refused
            answer.node = node
            answer.transcript.connect()
            text = b""
            while size := int(await reader.readline(), 16):
                text += (await reader.readexactly(size + 2))[:-2]
                *events, text = text.split(b"\n\n")
                for fields in map(_fields, events):
                    if "retry" in fields:
                        self._retry_s = int(fields["retry"]) / 1000
                    if "event" in fields:
                        yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
        finally:
            self._stream = None
            writer.transport.abort()

    def _stream_request(self, host: str, answer: Answer) -> bytes:
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._client.cookies.jar)
        head = [
            f"GET /chat/{answer.generation_id}/stream/{answer.generation_id} HTTP/1.1",
            f"Host: {host}",
            f"Cookie: {cookies}",
            "Accept: text/event-stream",
        ]
        if answer.transcript.event_id:
            head.append(f"Last-Event-ID: {answer.transcript.event_id}")
        return "\r\n".join([*head, "", ""]).encode()


def _fields(event: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in event.decode().split("\n") if ": " in line and line[0] != ":")
