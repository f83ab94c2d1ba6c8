"""Whether the model that answers here looks at pictures, as its workers tell with their heartbeats."""

from __future__ import annotations

from shared.errors import PicturesUnsupported
from web.chat.line import Lines


class Sight:
    def __init__(self, lines: Lines, lane: str) -> None:
        self._lines = lines
        self._lane = lane
        self._last_known: bool | None = None

    async def is_there(self) -> bool | None:
        """As last known while no worker lives; None: no worker lived yet. Raises StoreUnavailable."""
        if workers := (await self._lines.of(self._lane)).workers:
            self._last_known = any(worker.sees for worker in workers)
        return self._last_known

    async def require(self) -> None:
        """Raises PicturesUnsupported if it is known that nobody looks."""
        if await self.is_there() is False:
            raise PicturesUnsupported
