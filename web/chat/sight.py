"""Whether the model that answers here looks at pictures, as its workers tell with their heartbeats."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from shared.errors import PicturesUnsupported
from shared.store import Store

_LOOK_EVERY_S = 1.0


class Sight:
    """Of one lane, looked up at most once a second."""

    def __init__(self, store: Store, lane: str, stale_after_s: float) -> None:
        self._store = store
        self._lane = lane
        self._stale_after = timedelta(seconds=stale_after_s)
        self._last_known: bool | None = None
        self._look_at = 0.0  # loop time

    async def is_there(self) -> bool | None:
        """As last known while no worker lives; None: no worker lived yet. Raises StoreUnavailable."""
        now = asyncio.get_running_loop().time()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            if workers := await self._store.workers.alive(self._stale_after, self._lane):
                self._last_known = any(worker.sees for worker in workers)
        return self._last_known

    async def require(self) -> None:
        """Raises PicturesUnsupported if it is known that nobody looks."""
        if await self.is_there() is False:
            raise PicturesUnsupported
