"""The asyncio face of an engine that runs elsewhere, in a thread or in another process: a stream for each request."""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.adapters.base import BaseDescription
from shared.errors import AdapterRefused, EngineLost, GenerationError, NunmalError, PicturesUnsupported
from workers.engine.base import EngineStats, Looked, Request, TokenEvent
from workers.engine.engine_messages import Answer, Asked, LoadAdapter, Look, Step, UnloadAdapter
from workers.engine.event_stream import EventStream
from workers.engine.facts import AdapterFacts, ModelFacts

OnStep = Callable[[Step], None]


class StreamingEngine(ABC):
    """Implements workers.engine.base.Engine, but for what subclasses say. Belongs to one event loop."""

    def __init__(self, facts: ModelFacts) -> None:
        self.lost = asyncio.Event()
        self.base: BaseDescription | None = None
        self._facts = facts
        self._numbers = itertools.count()
        self._keys: dict[str, str] = {}  # of running requests, by their id
        self._streams: dict[str, tuple[str, EventStream]] = {}  # by key, with the id
        self._adapters: dict[str, AdapterFacts] = {}
        self._named: dict[str, str] = {}  # adapters of running requests, by key
        self._asked: dict[str, asyncio.Future[Any]] = {}  # what messages of Asked are answered by, by key
        self._is_draining = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @property
    def model_digest(self) -> str:
        return self._facts.digest

    @property
    def context_length(self) -> int:
        return self._facts.context_length

    def submit(self, request: Request) -> EventStream:
        """Call it on the event loop that reads the events; the same one every time."""
        key = f"{request.id}/{next(self._numbers)}"
        stream = EventStream(on_close=lambda: self._leave(request.id, key))
        if request.id in self._keys:
            stream.put([TokenEvent(None, "error", GenerationError("a request with this id is running"))])
        elif self._is_draining:
            stream.put([TokenEvent(None, "cancelled")])
        else:
            self._is_empty.clear()
            self._keys[request.id] = key
            self._streams[key] = request.id, stream
            if request.adapter is not None:
                self._named[key] = request.adapter
            self._send(replace(request, id=key))
        return stream

    def cancel(self, request_id: str) -> None:
        if key := self._keys.get(request_id):
            self._send_cancel(key)

    @abstractmethod
    def stats(self) -> EngineStats: ...

    def adapters(self) -> tuple[AdapterFacts, ...]:
        return tuple(self._adapters.values())

    async def load_adapter(self, name: str, directory: Path) -> AdapterFacts:
        facts: AdapterFacts = await self._answer(LoadAdapter(f"{name}/{next(self._numbers)}", name, directory))
        self._adapters[name] = facts
        return facts

    async def unload_adapter(self, name: str) -> None:
        await self._answer(UnloadAdapter(f"{name}/{next(self._numbers)}", name))
        self._adapters.pop(name, None)

    async def look(self, sha256: str, data: bytes) -> Looked:
        """A kept picture ready to be shown. Raises PictureGone if it is broken, PicturesUnsupported, and EngineLost."""
        looked: Looked = await self._answer(Look(f"{sha256}/{next(self._numbers)}", sha256, data))
        return looked

    async def drain(self) -> None:
        self._is_draining = True
        await self._is_empty.wait()

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    def _send(self, request: Request) -> None:
        """Its events come back through `_receive`, under the id it has here: nobody else had it before. Called in the
        event loop, must not block."""

    @abstractmethod
    def _send_cancel(self, request_id: str) -> None: ...

    def _send_asked(self, message: Asked) -> None:
        """Its answer comes back through `_receive_answer`."""
        if isinstance(message, Look):
            self._receive_answer(message.key, PicturesUnsupported())
        else:
            self._receive_answer(message.key, AdapterRefused(adapter=message.name, reason="this engine takes none"))

    async def _answer(self, message: Asked) -> Any:
        if self.lost.is_set():
            raise EngineLost
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[message.key] = answer
        try:
            self._send_asked(message)
            return await answer
        finally:
            del self._asked[message.key]

    def _receive_answer(self, key: str, answer: Answer) -> None:
        """Call it in the event loop."""
        asked = self._asked.get(key)
        if asked is None or asked.done():  # nobody waits any more
            return
        if isinstance(answer, NunmalError):
            asked.set_exception(answer)
        else:
            asked.set_result(answer)

    def _receive(self, events: Iterable[tuple[str, TokenEvent]]) -> None:
        """Call it in the event loop."""
        by_key: defaultdict[str, list[TokenEvent]] = defaultdict(list)
        for key, event in events:
            by_key[key].append(event)
        for key, some in by_key.items():
            if key in self._streams:
                request_id, stream = self._streams[key]
                if some[-1].finish_reason:
                    self._forget(request_id, key)
                stream.put(some)

    def _end_all(self, event: TokenEvent) -> None:
        """Nothing more will come for anybody."""
        for key in list(self._streams):
            self._receive([(key, event)])
        for key in list(self._asked):
            self._receive_answer(key, EngineLost())

    def _leave(self, request_id: str, key: str) -> None:
        """Its listener is gone; its id is free for another request at once."""
        if key in self._streams:
            self._forget(request_id, key)
            self._send_cancel(key)

    def _forget(self, request_id: str, key: str) -> None:
        del self._streams[key]
        self._named.pop(key, None)
        del self._keys[request_id]
        if not self._streams:
            self._is_empty.set()
