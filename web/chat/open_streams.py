"""How many streams one person has open at this node: each keeps a socket and a task, and a browser needs a few."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing

from quart import Response

from shared.errors import TooManyStreams

MOST_STREAMS = 50
_RETRY_AFTER_S = 10.0


class OpenStreams:
    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    async def response(self, user_id: str, events: AsyncGenerator[str, None]) -> Response:
        """`events` as they come, to a browser. Raises TooManyStreams."""
        response = Response(await self.opened(user_id, events), content_type="text/event-stream; charset=utf-8")
        response.headers["X-Accel-Buffering"] = "no"
        response.timeout = None
        return response

    async def opened(self, user_id: str, events: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        """`events`, counted until they end or are closed. Raises TooManyStreams."""
        if self._open[user_id] >= MOST_STREAMS:
            raise TooManyStreams(limit=MOST_STREAMS, retry_after_s=_RETRY_AFTER_S)
        stream = self._counted(user_id, events)
        await anext(stream)  # from here on it is counted; nothing waits in between
        return stream

    async def _counted(self, user_id: str, events: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        self._open[user_id] += 1
        try:
            yield ""
            async with aclosing(events):
                async for event in events:
                    yield event
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]
