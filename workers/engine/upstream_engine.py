"""An engine that lets an OpenAI-compatible server generate: vLLM, SGLang, llama.cpp, transformers and the like.

One streamed request to /v1/completions for each answer; cancelling closes its connection, which ends it there. What the
server cannot be asked is refused with a code. A server that is away loses the engine (EngineLost): all answers go on
elsewhere, or here when it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx2

from shared.errors import AdapterUnknown, EngineLost, GenerationCrashed, GenerationError, NunmalError, UpstreamRefused
from shared.telemetry import fields
from workers.engine import admission
from workers.engine.base import EngineStats, Request, TokenEvent
from workers.engine.engine_messages import Asked, UnloadAdapter
from workers.engine.event_stream import EventStream
from workers.engine.facts import ModelFacts
from workers.engine.streaming_engine import StreamingEngine
from workers.engine.upstream_dialect import begins_anew, check, fields_of
from workers.engine.upstream_door import AWAY, NONE_KEPT, Door, headers_of
from workers.engine.upstream_reading import CompletionReader, Spelling

log = logging.getLogger(__name__)

_CONNECT_S = 5.0
_LOOK_WITHIN_S = 10.0
_MISSES = 2  # looks in a row that found nobody, before the engine is lost
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0


class UpstreamEngine(StreamingEngine):
    """Its requests run as tasks of the event loop that submits them; `close` ends them."""

    def __init__(
        self,
        url: str,
        key: str | None,
        door: Door,
        facts: ModelFacts,
        spelling: Spelling,
        text_of: Callable[[Sequence[int]], str],
        *,
        slots: int,
        look_every_s: float = 5.0,
    ) -> None:
        """`text_of`: a prompt, control tokens included, for a server that takes text only. `look_every_s`: seconds
        between two looks whether the server is there."""
        length = min(facts.context_length, door.context_length or facts.context_length)
        super().__init__(replace(facts, context_length=length))
        self._door = door
        self._spelling = spelling
        self._text_of = text_of
        self._slots = slots
        self._free = asyncio.Semaphore(slots)
        self._look_every_s = look_every_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running: set[str] = set()  # those of them that have a slot
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False
        self._client = httpx2.AsyncClient(
            base_url=url,
            headers=headers_of(key),
            timeout=httpx2.Timeout(None, connect=_CONNECT_S),  # a silent server is looked at, see _look_forever
            limits=NONE_KEPT,
        )

    def submit(self, request: Request) -> EventStream:
        if self._looking is None and not self._is_closed:
            self._looking = asyncio.get_running_loop().create_task(self._look_forever())
        return super().submit(request)

    def stats(self) -> EngineStats:
        running = len(self._running & self._streams.keys())  # some may only have to close their connection
        return EngineStats(running, len(self._streams) - running, self._slots)

    async def close(self) -> None:
        self._is_closed = True
        self._end_all(TokenEvent(None, "cancelled"))
        tasks = [*self._tasks.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._client.aclose()

    def _send(self, request: Request) -> None:
        last = self._refusal(request)
        if last is not None:
            self._receive([(request.id, last)])
        else:
            self._tasks[request.id] = asyncio.get_running_loop().create_task(self._run(request))

    def _send_cancel(self, request_id: str) -> None:
        if task := self._tasks.get(request_id):
            task.cancel()
            self._receive([(request_id, TokenEvent(None, "cancelled"))])

    def _send_asked(self, message: Asked) -> None:
        if isinstance(message, UnloadAdapter):
            self._receive_answer(message.key, AdapterUnknown(adapter=message.name))
        else:
            super()._send_asked(message)

    def _refusal(self, request: Request) -> TokenEvent | None:
        """Why the server is not asked at all."""
        if self._is_closed:
            return TokenEvent(None, "cancelled")
        if self.lost.is_set():
            return TokenEvent(None, "error", EngineLost())
        try:
            admission.check(request, self._facts.vocabulary, self.context_length)
            check(request, self._door.dialect)
        except GenerationError as error:
            return TokenEvent(None, "error", error)
        last = request.generated[-1] if request.generated else None
        reason = admission.ended(request, len(request.generated), last, self._facts.stop_ids, self.context_length)
        return TokenEvent(None, reason) if reason else None

    async def _run(self, request: Request) -> None:
        error: NunmalError | None = None
        try:
            async with self._free:
                self._running.add(request.id)
                await self._complete(request)
        except NunmalError as raised:
            error = raised
        except httpx2.TransportError as raised:
            log.warning("upstream_broke_off", extra=fields(reason=type(raised).__name__))
            if not await self._is_there():
                self._lose("gone")
            error = EngineLost()
        except Exception as raised:  # chunks that are none; what is in them may be people's words
            log.error("upstream_unreadable", extra=fields(reason=type(raised).__name__))
            error = GenerationCrashed()
        finally:
            self._running.discard(request.id)
            self._tasks.pop(request.id, None)
        if error is not None:
            self._receive([(request.id, TokenEvent(None, "error", error))])

    async def _complete(self, request: Request) -> None:
        """Until the last event is received. Waits while the server is too busy; the deadline is the caller's."""
        body = self._body(request)
        wait_s = _FIRST_WAIT_S
        while True:
            async with self._client.stream("POST", "completions", json=body) as response:
                if response.status_code == 200:
                    return await self._read(request, response)
                asked_s = self._asked_wait(response)
            await asyncio.sleep(min(wait_s if asked_s is None else asked_s, _LONGEST_WAIT_S))
            wait_s = 2 * wait_s

    def _body(self, request: Request) -> dict[str, Any]:
        door, again = self._door, begins_anew(request)
        prompt = request.prompt if again else request.prompt + request.generated
        left = admission.longest(request, self.context_length) - (0 if again else len(request.generated))
        return {
            "model": door.model,
            "prompt": list(prompt) if door.takes_ids else self._text_of(prompt),
            "stream": True,
            **fields_of(request, door.dialect, left, self._facts.stop_ids),
        }

    async def _read(self, request: Request, response: httpx2.Response) -> None:
        spelling = None if self._door.gives_ids else self._spelling
        reader = CompletionReader(request, self._facts, spelling)
        async for message in httpx2.EventSource(response):
            if message.data == "[DONE]":
                break
            events = reader.events(json.loads(message.data))
            self._receive((request.id, event) for event in events)
            if events and events[-1].finish_reason:
                return
        raise EngineLost("the upstream's stream ended in the middle of an answer")

    def _asked_wait(self, response: httpx2.Response) -> float | None:
        """Seconds after which the server wants to be asked again, None if it does not say when.

        Raises UpstreamRefused if asking again does not help, EngineLost if somebody else may be luckier.
        """
        status = response.status_code
        with contextlib.suppress(KeyError, ValueError):  # a date is not worth reading
            if status in (429, 503):
                return max(0.0, float(response.headers["Retry-After"]))
        if status == 429:
            return None
        log.warning("upstream_refused", extra=fields(status=status))
        if status in (401, 403):
            self._lose("it does not take the key")
        if status >= 500 or status in (401, 403, 408):
            raise EngineLost(f"the upstream answered {status}")
        raise UpstreamRefused(status=status)

    async def _look_forever(self) -> None:
        """A server may fall silent without closing a connection."""
        misses = 0
        while not self.lost.is_set():
            await asyncio.sleep(self._look_every_s)
            misses = 0 if await self._is_there() else misses + 1
            if misses >= _MISSES:
                self._lose("silent")

    async def _is_there(self) -> bool:
        """It answers what every such server answers at once. One that says it is busy is there."""
        try:
            response = await self._client.get("models", timeout=_LOOK_WITHIN_S)
        except httpx2.TransportError:
            return False
        return response.status_code not in AWAY or "Retry-After" in response.headers

    def _lose(self, reason: str) -> None:
        if not self.lost.is_set():
            log.error("upstream_lost", extra=fields(reason=reason))
            self.lost.set()
        running = asyncio.current_task()
        self._end_all(TokenEvent(None, "error", EngineLost()))
        for task in self._tasks.values():
            if task is not running:
                task.cancel()
