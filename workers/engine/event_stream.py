"""Token events of one request, handed from the engine to the task that awaits them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from workers.engine.base import TokenEvent


class EventStream:
    """Implements workers.engine.base.TokenStream. Lives on one event loop; only `put` feeds it.

    Its queue has no limit of its own because a request has: it can never hold more than max_new_tokens events,
    so a slow listener costs no more memory than the finished answer.
    """

    def __init__(self, on_close: Callable[[], None]) -> None:
        """`on_close` is called once if the listener leaves before the last event."""
        self._events: deque[TokenEvent] = deque()
        self._arrived = asyncio.Event()
        self._on_close = on_close
        self._is_over = False

    def put(self, events: Iterable[TokenEvent]) -> None:
        """Call it on the stream's event loop."""
        self._events.extend(events)
        self._arrived.set()

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> TokenEvent:
        if self._is_over:
            raise StopAsyncIteration
        while not self._events:
            self._arrived.clear()
            await self._arrived.wait()
        event = self._events.popleft()
        self._is_over = event.finish_reason is not None
        return event

    async def aclose(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._events.clear()
            self._on_close()
