"""Recovery: what a dead worker or a forgetful broker leaves behind goes on, and nothing else is touched."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from shared.broker.base import Delivery
from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState
from shared.messages import GenerateReply, GenerationChanged, TokensGenerated
from shared.recovery import sweep
from shared.store import Store
from tests.factories import LANE, generation

FRESH = timedelta(seconds=60)
LOST = timedelta(0)  # every heartbeat is too old


class Permits:
    """Collects the ids of the permits that reach the lane."""

    def __init__(self) -> None:
        self.ids: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, delivery: Delivery) -> None:
        await delivery.ack()
        assert isinstance(delivery.message, GenerateReply)
        self.ids.put_nowait(delivery.message.generation_id)


async def running(store: Store, worker_id: str) -> Generation:
    await store.generations.add(generation(listeners=("node",)))
    claimed = await store.generations.claim(LANE, worker_id)
    assert claimed is not None
    return claimed


async def test_answer_of_a_lost_worker_waits_again_with_its_tokens(store: Store, memory_broker: MemoryBroker) -> None:
    await store.workers.beat("worker", LANE, "test", "digest", slots=4, busy=1)
    turn = await running(store, "worker")
    await store.generations.checkpoint(turn.id, turn.attempt, [1, 2], "안녕", "digest")
    permits, told = Permits(), asyncio.Queue[GenerationChanged | TokensGenerated]()

    async def tell(message: GenerationChanged | TokensGenerated) -> None:
        told.put_nowait(message)

    async with memory_broker.consume_permits(LANE, 4, permits), memory_broker.consume_node("node", tell):
        published = await sweep(store, memory_broker, LOST)
        async with asyncio.timeout(5):
            assert await permits.ids.get() == turn.id
            news = await told.get()

    assert published == 1
    assert isinstance(news, GenerationChanged)
    assert (news.generation_id, news.state) == (turn.id, "queued")
    found = await store.generations.get(turn.id)
    assert found is not None
    assert (found.state, found.token_ids, found.answer) == (GenerationState.QUEUED, (1, 2), "안녕")


async def test_answer_of_a_living_worker_is_left_alone(store: Store, memory_broker: MemoryBroker) -> None:
    await store.workers.beat("worker", LANE, "test", "digest", slots=4, busy=1)
    turn = await running(store, "worker")

    assert await sweep(store, memory_broker, FRESH) == 0

    found = await store.generations.get(turn.id)
    assert found is not None
    assert found.state is GenerationState.RUNNING


async def test_two_sweepers_take_an_answer_back_once(store: Store, memory_broker: MemoryBroker) -> None:
    await running(store, "nobody")

    published = await asyncio.gather(*(sweep(store, memory_broker, FRESH) for _ in range(4)))

    assert sum(published) == 1


async def test_permit_that_was_lost_is_published_again_when_a_slot_is_free(
    store: Store, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.recovery._PERMIT_LOST_AFTER", timedelta(seconds=-1))
    first, second = generation(tag=1.0), generation(tag=2.0)
    for turn in (second, first):
        await store.generations.add(turn)
    permits = Permits()

    async with memory_broker.consume_permits(LANE, 4, permits):
        assert await sweep(store, memory_broker, FRESH) == 0, "no worker is there: nobody to wake"
        await store.workers.beat("full", LANE, "test", "digest", slots=4, busy=4)
        assert await sweep(store, memory_broker, FRESH) == 0, "its slots are full"
        await store.workers.beat("free", LANE, "test", "digest", slots=4, busy=3)
        assert await sweep(store, memory_broker, FRESH) == 1

        async with asyncio.timeout(5):
            assert await permits.ids.get() == first.id


async def test_fresh_permit_is_not_published_twice(store: Store, memory_broker: MemoryBroker) -> None:
    await store.generations.add(generation())
    await store.workers.beat("free", LANE, "test", "digest", slots=4, busy=0)

    assert await sweep(store, memory_broker, FRESH) == 0


@pytest.mark.parametrize("after", ["workers", "generations"])
async def test_a_worker_that_comes_and_claims_during_a_sweep_keeps_its_answer(
    store: Store, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    read = store.workers.alive if after == "workers" else store.generations.running

    async def read_and_be_overtaken(*arguments: Any) -> Any:
        found = await read(*arguments)
        await store.workers.beat("newcomer", LANE, "test", "digest", slots=4, busy=1)
        await running(store, "newcomer")
        return found

    target, name = (store.workers, "alive") if after == "workers" else (store.generations, "running")
    monkeypatch.setattr(target, name, read_and_be_overtaken)

    assert await sweep(store, memory_broker, FRESH) == 0
