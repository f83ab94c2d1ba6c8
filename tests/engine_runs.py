"""An engine for a test, and what one request gets of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

from workers.engine.adapters.own_adapter import OwnAdapter
from workers.engine.base import Engine, Request, TokenEvent
from workers.engine.facts import ModelFacts
from workers.engine.model_runner import ModelRunner
from workers.engine.transformers_engine import TransformersEngine


@asynccontextmanager
async def serving(
    runner: ModelRunner, facts: ModelFacts, *, slots: int, prefill_chunk: int, own_adapter: OwnAdapter | None = None
) -> AsyncIterator[TransformersEngine]:
    engine = TransformersEngine(runner, facts, slots=slots, prefill_chunk=prefill_chunk, own_adapter=own_adapter)
    try:
        yield engine
    finally:
        await engine.close()


async def events_of(
    engine: Engine, request: Request, on_event: Callable[[int], None] = lambda count: None
) -> list[TokenEvent]:
    """All of them; `on_event` is told after each how many there are."""
    events: list[TokenEvent] = []
    async with asyncio.timeout(60), aclosing(engine.submit(request)) as stream:
        async for event in stream:
            events.append(event)
            on_event(len(events))
    return events


def tokens_of(events: list[TokenEvent]) -> list[int]:
    """Of an answer that did not fail."""
    assert events[-1].error is None
    return [event.token_id for event in events if event.token_id is not None]
