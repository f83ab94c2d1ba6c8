"""`nunmal dead list|replay|drop` (shared/dead_letters.py)."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine

from infra.audit import command_actor
from infra.home import opened_store
from shared.broker.rabbitmq import RabbitBroker
from shared.dead_letters import UNREADABLE, DeadAnswer, DeadLetters
from shared.settings import Settings


def dead(settings: Settings, action: str, ids: list[str]) -> None:
    """Run one command; `ids` empty means all. Raises NunmalError."""
    asyncio.run(_run(settings, action, ids))


async def _run(settings: Settings, action: str, ids: list[str]) -> None:
    async with _opened(settings) as letters:
        if action == "list":
            for dead in await letters.all():
                sys.stdout.write(f"{_row(dead)}\n")
            return
        act: Callable[[str, str], Coroutine[None, None, None]] = letters.replay if action == "replay" else letters.drop
        everything = [dead.id for dead in await letters.all() if action == "drop" or dead.id != UNREADABLE]
        for generation_id in ids or dict.fromkeys(everything):
            await act(generation_id, command_actor())
            sys.stdout.write(f"{generation_id}\n")


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[DeadLetters]:
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(opened_store(settings))
        broker = None
        if settings.broker_url is not None:
            broker = await stack.enter_async_context(RabbitBroker(settings.broker_url.get_secret_value()))
        yield DeadLetters(store, broker)


def _row(dead: DeadAnswer) -> str:
    """Id, when it died (UTC), lane, attempts, reason."""
    return f"{dead.id}  {dead.died_at:%F %T}  {dead.lane or '-'}  {dead.attempts or '-'}  {dead.reason}"
