"""The asyncio face of an engine that runs elsewhere, in a thread or in another process: a stream for each request."""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from shared.errors import GenerationError
from workers.engine.base import EngineStats, Request, TokenEvent
from workers.engine.event_stream import EventStream
from workers.engine.facts import ModelFacts


class StreamingEngine(ABC):
    """Implements workers.engine.base.Engine, but for what subclasses say. Belongs to one event loop."""

    def __init__(self, facts: ModelFacts) -> None:
        self.lost = asyncio.Event()
        self._facts = facts
        self._numbers = itertools.count()
        self._keys: dict[str, str] = {}  # of running requests, by their id
        self._streams: dict[str, tuple[str, EventStream]] = {}  # by key, with the id

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
        else:
            self._keys[request.id] = key
            self._streams[key] = request.id, stream
            self._send(replace(request, id=key))
        return stream

    def cancel(self, request_id: str) -> None:
        if key := self._keys.get(request_id):
            self._send_cancel(key)

    @abstractmethod
    def stats(self) -> EngineStats: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    def _send(self, request: Request) -> None:
        """Its events come back through `_receive`, under the id it has here: nobody else had it before. Called in the
        event loop, must not block."""

    @abstractmethod
    def _send_cancel(self, request_id: str) -> None: ...

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

    def _leave(self, request_id: str, key: str) -> None:
        """Its listener is gone; its id is free for another request at once."""
        if key in self._streams:
            self._forget(request_id, key)
            self._send_cancel(key)

    def _forget(self, request_id: str, key: str) -> None:
        del self._streams[key]
        del self._keys[request_id]
