"""`nunmal dead list|replay|drop`: answers that failed three times without a token, for an operator to decide on.

The document says what failed and why, and the permit in the dead-letter queue asks for a look; both are changed
together. Messages that nobody can read are listed without an id. What people wrote is never shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine

from infra.audit import command_actor
from infra.home import opened_store
from shared.audit import AuditAction
from shared.broker.base import Broker
from shared.broker.rabbitmq import RabbitBroker
from shared.chat import Generation
from shared.errors import NotFound
from shared.messages import GenerateReply
from shared.settings import Settings
from shared.store import Store

UNREADABLE = "unreadable"  # stands for the id of messages that have none
_MOST_LISTED = 1000


class DeadLetters:
    """`broker` is None where only the service itself has one (`nunmal up`): its sweeper sends new permits."""

    def __init__(self, store: Store, broker: Broker | None) -> None:
        self._store = store
        self._broker = broker

    async def rows(self) -> list[str]:
        """One line each: id, when it died (UTC), lane, attempts, reason."""
        dead = await self._store.generations.dead(_MOST_LISTED)
        rows = [_row(turn) for turn in dead]
        known = {turn.id for turn in dead}
        for letter in await self._broker.dead_letters(_MOST_LISTED) if self._broker else []:
            if letter.generation_id not in known:
                rows.append(f"{letter.generation_id or UNREADABLE}  {letter.died_at:%F %T}  -  -  {letter.reason}")
        return rows

    async def replay(self, generation_id: str) -> None:
        """Ask a worker again. Raises NotFound if no such answer is dead."""
        turn = await self._store.generations.revive(generation_id)
        if turn is None:
            raise NotFound(f"{generation_id} is not among the dead")
        await self._store.audit.append(command_actor(), AuditAction.DEAD_REPLAYED, generation_id)
        if self._broker is not None:
            await self._broker.publish_permit(turn.lane, GenerateReply(generation_id=generation_id))
            await self._broker.take_dead_letter(generation_id)

    async def drop(self, generation_id: str) -> None:
        """Leave it failed and list it no more. Raises NotFound."""
        was_dead = await self._store.generations.bury(generation_id)
        was_queued = False
        if self._broker is not None:
            was_queued = await self._broker.take_dead_letter(None if generation_id == UNREADABLE else generation_id)
        if not (was_dead or was_queued):
            raise NotFound(f"{generation_id} is not among the dead")
        await self._store.audit.append(command_actor(), AuditAction.DEAD_DROPPED, generation_id)

    async def ids(self) -> list[str]:
        return [row.split()[0] for row in await self.rows()]


def dead(settings: Settings, action: str, ids: list[str]) -> None:
    """Run one command; `ids` empty means all. Raises NunmalError."""
    asyncio.run(_run(settings, action, ids))


async def _run(settings: Settings, action: str, ids: list[str]) -> None:
    async with _opened(settings) as letters:
        if action == "list":
            for row in await letters.rows():
                sys.stdout.write(f"{row}\n")
            return
        act: Callable[[str], Coroutine[None, None, None]] = letters.replay if action == "replay" else letters.drop
        everything = [one for one in await letters.ids() if action == "drop" or one != UNREADABLE]
        for generation_id in ids or dict.fromkeys(everything):
            await act(generation_id)
            sys.stdout.write(f"{generation_id}\n")


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[DeadLetters]:
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened_store(settings))
        broker = None
        if settings.broker_url is not None:
            broker = await stack.enter_async_context(RabbitBroker(settings.broker_url.get_secret_value()))
        yield DeadLetters(store, broker)


def _row(turn: Generation) -> str:
    died_at = turn.finished_at or turn.created_at
    return f"{turn.id}  {died_at:%F %T}  {turn.lane}  {turn.attempt}  {turn.error_code}"
