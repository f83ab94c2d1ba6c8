"""The answers to one request, watched together through the hub, as pages watch theirs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence

from shared.chat import Generation
from shared.errors import StoreUnavailable
from shared.telemetry import fields
from web.chat.hub import Hub
from web.chat.live import LiveAnswer

log = logging.getLogger(__name__)


class Watch:
    """Call `look`, see what the answers have, then wait for `change`."""

    def __init__(self, hub: Hub, answers: Sequence[LiveAnswer]) -> None:
        self._hub = hub
        self.answers = answers
        self._seen = [-1] * len(answers)

    @property
    def is_node_ending(self) -> bool:
        return self._hub.is_closing

    @property
    def are_over(self) -> bool:
        return all(answer.is_over for answer in self.answers)

    async def look(self) -> None:
        """Mend what is known to be missing. A store that is away is tried again the next time."""
        self._seen = [answer.version for answer in self.answers]
        for answer in self.answers:
            try:
                await self._hub.heal(answer.generation_id)
            except StoreUnavailable:
                log.warning("stream_without_store", extra=fields(generation_id=answer.generation_id))

    async def change(self, timeout_s: float) -> None:
        """Return when any of them is newer than at the last look, or after `timeout_s`. At least one is not over."""
        waiting = [
            asyncio.ensure_future(answer.change(seen, min(timeout_s, self._hub.next_check_s(answer.generation_id))))
            for answer, seen in zip(self.answers, self._seen, strict=True)
            if not answer.is_over
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waiting:
                future.cancel()


@contextlib.asynccontextmanager
async def watching(hub: Hub, turns: Sequence[Generation]) -> AsyncIterator[Watch]:
    async with contextlib.AsyncExitStack() as stack:
        yield Watch(hub, [await stack.enter_async_context(hub.watch(turn.id)) for turn in turns])
