"""Answers that failed three times without a token, for an operator to decide on.

The document says what failed and why, and the permit in the dead-letter queue asks for a look; both are changed
together. Messages that nobody can read are listed under no id of an answer. What people wrote is never shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.audit import AuditAction
from shared.broker.base import Broker
from shared.errors import NotFound
from shared.messages import GenerateReply
from shared.store import Store

UNREADABLE = "unreadable"  # stands for the id of messages that have none
_MOST_LISTED = 1000


@dataclass(frozen=True, slots=True)
class DeadAnswer:
    id: str
    died_at: datetime
    reason: str  # an error's code, or RabbitMQ's word
    lane: str | None = None  # None: only its permit is known
    attempts: int | None = None


class DeadLetters:
    """`broker` is None where only the service itself has one (`nunmal up`): its sweeper sends new permits."""

    def __init__(self, store: Store, broker: Broker | None) -> None:
        self._store = store
        self._broker = broker

    async def all(self) -> list[DeadAnswer]:
        """Oldest first, those that are known as answers before those that are only messages."""
        dead = await self._store.generations.dead(_MOST_LISTED)
        listed = [
            DeadAnswer(turn.id, turn.finished_at or turn.created_at, turn.error_code or "", turn.lane, turn.attempt)
            for turn in dead
        ]
        known = {turn.id for turn in dead}
        letters = await self._broker.dead_letters(_MOST_LISTED) if self._broker else []
        return listed + [
            DeadAnswer(letter.generation_id or UNREADABLE, letter.died_at, letter.reason)
            for letter in letters
            if letter.generation_id not in known
        ]

    async def replay(self, generation_id: str, actor: str) -> None:
        """Ask a worker again. `actor`: as the audit chain names them. Raises NotFound if no such answer is dead."""
        turn = await self._store.generations.revive(generation_id)
        if turn is None:
            raise NotFound(f"{generation_id} is not among the dead")
        await self._store.audit.append(actor, AuditAction.DEAD_REPLAYED, generation_id)
        if self._broker is not None:
            await self._broker.publish_permit(turn.lane, GenerateReply(generation_id=generation_id))
            await self._broker.take_dead_letter(generation_id)

    async def drop(self, generation_id: str, actor: str) -> None:
        """Leave it failed and list it no more. Raises NotFound."""
        was_dead = await self._store.generations.bury(generation_id)
        was_queued = False
        if self._broker is not None:
            was_queued = await self._broker.take_dead_letter(None if generation_id == UNREADABLE else generation_id)
        if not (was_dead or was_queued):
            raise NotFound(f"{generation_id} is not among the dead")
        await self._store.audit.append(actor, AuditAction.DEAD_DROPPED, generation_id)
