"""Makes turns that are over findable, beside the requests: every minute, and before a person's own search.

Interrupted work goes on where it was: what lacks an entry is marked in the store, not here.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from shared.chat import Generation, Origin
from shared.errors import ServiceError
from shared.organising_errors import SearchUnavailable
from shared.store import Store
from shared.store.search import Entry
from shared.telemetry import fields
from shared.text.analyser import Analyser
from shared.text.morphemes import Stem
from web.search.passages import plain

log = logging.getLogger(__name__)

_INTERVAL_S = 60.0
_AT_ONCE = 20  # turns; about half a second of the analyser, which searches wait for
_MOST_MARKED = 1000


class Indexing:
    def __init__(self, store: Store, analyser: Analyser) -> None:
        self._store = store
        self._analyser = analyser

    async def run(self) -> None:
        """Until cancelled. A store that is away is tried again the next time."""
        while True:
            await asyncio.sleep(_INTERVAL_S * random.uniform(0.5, 1.5))  # noqa: S311  # nodes do not work side by side
            try:
                while await self._store.search.mark_older(_MOST_MARKED):
                    pass
                while await self.some():
                    pass
            except ServiceError as error:
                log.info("indexing_waits", extra=fields(reason=str(error)))

    async def some(self, user_id: str | None = None, limit: int = _AT_ONCE) -> bool:
        """At most `limit` turns, of one person if `user_id` is given; True if there may be more.

        Raises StoreUnavailable, SearchUnavailable."""
        ids = await self._store.search.unindexed(limit, user_id)
        turns = await self._store.generations.get_many(ids)
        shown = [turn for turn in turns.values() if turn.origin is Origin.PAGE]
        for turn, stems in zip(shown, await self._stems([text_of(turn) for turn in shown]), strict=True):
            entry = Entry(turn.id, turn.conversation_id)
            await self._store.search.put(entry, turn.user_id, (stem.text for stem in stems))
        for turn in turns.values():
            if turn.origin is not Origin.PAGE:
                await self._store.search.leave_out(turn.id)
        return len(ids) == limit

    async def _stems(self, texts: Sequence[str]) -> list[list[Stem]]:
        """One that the analyser cannot bear is found by nothing, and keeps no other from being found."""
        try:
            return await self._analyser.stems(texts)
        except SearchUnavailable:
            if len(texts) == 1:
                await self._analyser.stems(["가"])  # raises if nothing can be read at all
                return [[]]
            return [stems for text in texts for stems in await self._stems([text])]


def text_of(turn: Generation) -> str:
    """What a turn is found by."""
    return f"{plain(turn.question)}\n{plain(turn.answer)}"
