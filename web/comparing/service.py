"""Two answers to one question, compared by a person who learns afterwards whose they were.

Nothing that a browser gets before the choice tells the versions apart: places are drawn by lot, the turns' ids are made
in the order of the places, both have the same seed, and no page, stream or address names a version.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.chat import Generation, Message, Origin, Role, User
from shared.comparison_errors import ChoiceMade, ChoiceTooEarly, NothingToCompare, PairInvalid
from shared.comparisons import Choice, Comparison, Pairing
from shared.errors import NotFound
from shared.ids import is_id, new_id
from shared.metrics import COMPARISONS
from shared.store import Store
from web.adapters.trials import side_by_side, tidy_prompt
from web.api.service import ApiService
from web.cancellation import Cancellation


@dataclass(frozen=True, slots=True)
class Compared:
    """`turns`: left and right."""

    comparison: Comparison
    turns: list[Generation]

    @property
    def can_be_chosen(self) -> bool:
        return len(self.turns) == 2 and all(turn.state.is_final and turn.answer for turn in self.turns)


class Comparing:
    """`lane`: where questions are queued."""

    def __init__(self, store: Store, service: ApiService, cancellation: Cancellation, lane: str) -> None:
        self._store = store
        self._service = service
        self._cancellation = cancellation
        self._lane = lane

    async def begin(self, user: User, question: str) -> str:
        """The comparison's id. Raises MessageEmpty, MessageInvalid, NothingToCompare, LimitReached, QueueFull."""
        question = tidy_prompt(question)
        offered = [each for each in await self._store.pairings.offered() if await self._is_whole(each)]
        if not offered:
            raise NothingToCompare
        pairing = secrets.choice(offered)
        left, right = secrets.choice([(pairing.one, pairing.other), (pairing.other, pairing.one)])
        prompt = (Message(Role.USER, question),)
        drafts = side_by_side(user.id, self._lane, Origin.COMPARISON, [(left, prompt), (right, prompt)])
        comparison_id = drafts[0].conversation_id
        # First, so that no answer is without its comparison.
        await self._store.comparisons.add(Comparison(comparison_id, user.id, question, left, right, datetime.now(UTC)))
        try:
            await self._service.submit(drafts)
        except BaseException:
            await asyncio.shield(self._store.comparisons.remove(comparison_id, user.id))
            raise
        return comparison_id

    async def get(self, user: User, comparison_id: str) -> Compared:
        """Raises NotFound, for a foreign one too."""
        found = await self._store.comparisons.get(comparison_id, user.id) if is_id(comparison_id) else None
        if found is None:
            raise NotFound
        return Compared(found, await self._store.generations.of_conversation(comparison_id, user.id))

    async def choose(self, user: User, comparison_id: str, choice: Choice) -> None:
        """Once. Raises NotFound, ChoiceTooEarly, ChoiceMade."""
        compared = await self.get(user, comparison_id)
        if not compared.can_be_chosen:
            raise ChoiceTooEarly
        if not await self._store.comparisons.choose(comparison_id, user.id, choice):
            raise ChoiceMade
        COMPARISONS.labels(choice).inc()

    async def remove(self, user: User, comparison_id: str) -> None:
        """With its answers, which are stopped first. Raises NotFound."""
        for turn in (await self.get(user, comparison_id)).turns:
            if not turn.state.is_final:
                await self._cancellation.cancel(user.id, turn.id)
        await self._store.personal.remove_turns({"conversation_id": comparison_id})
        await self._store.comparisons.remove(comparison_id, user.id)

    async def offer(self, user: User, one: str | None, other: str | None) -> None:
        """Ask everybody to compare these two. Raises PairInvalid, AdapterVersionUnknown."""
        pairing = Pairing(new_id(), one, other, True, user.id, datetime.now(UTC))
        if one == other or not await self._is_whole(pairing):
            raise PairInvalid
        if not any({one, other} == {each.one, each.other} for each in await self._store.pairings.offered()):
            await self._store.pairings.add(pairing)

    async def _is_whole(self, pairing: Pairing) -> bool:
        """Neither version was retired. Raises AdapterVersionUnknown."""
        named = [each for each in (pairing.one, pairing.other) if each is not None]
        return all([(await self._store.adapters.version(each)).has_files for each in named])
