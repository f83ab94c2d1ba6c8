"""From a push to answers, over RabbitMQ: two workers take a version, and nobody answers with it before both have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from shared.adapters.rollout import Alias, Outcome, WorkerState
from shared.broker.rabbitmq import RabbitBroker
from shared.chat import GenerationState, SamplingParams
from shared.errors import AdapterRefused
from shared.publishing import Publishing
from shared.store import Store
from tests.tiny_adapters import save_tiny_adapter
from tests.tiny_models import tiny_model
from tests.waiting import until
from tests.worker_house import NODE, House, Node, serving_tiny_model
from workers.engine.facts import AdapterFacts
from workers.served_model import ServedModel

NAME = "wallpaper"
TARGETS = ["q_proj", "v_proj", "down_proj"]
LONG = SamplingParams(temperature=0.0, max_new_tokens=120)
_WITHIN_S = 120.0

Push = Callable[[int], Awaitable[str]]


class Houses:
    """Two workers' worth of connections to one RabbitMQ and one store; the first also asks and rolls out."""

    def __init__(self, one: House, two: House) -> None:
        self.one, self.two = one, two
        self.store = one.store
        self.publishing = Publishing(one.store, one.broker)

    async def alias(self) -> Alias:
        return await self.store.adapters.alias(NAME)

    async def ended(self, version: str) -> Alias:
        """The alias after the roll-out of this version."""

        async def look() -> Alias | None:
            alias = await self.alias()
            return alias if alias.last and alias.last.rollout.adapter == version and not alias.rollout else None

        found = await until(look, _WITHIN_S)
        assert found is not None, await self.alias()
        return found

    async def activate(self, version: str) -> Alias:
        await self.publishing.activate(version, "test", 60.0)
        return await self.ended(version)

    async def answer(self, adapter: str | None, **changes: object) -> tuple[int, ...]:
        asked = await self.one.ask("벽지에 얼룩이 있어요", adapter=adapter, **changes)
        assert await self.one.node.final(asked) == "done"
        return (await self.one.get(asked)).token_ids


@pytest.fixture
async def houses(store: Store, rabbit_url: str) -> AsyncIterator[Houses]:
    node = Node()
    async with RabbitBroker(rabbit_url) as one, RabbitBroker(rabbit_url) as two, one.consume_node(NODE, node):
        yield Houses(House(store, one, node), House(store, two, node))


@pytest.fixture
def push(houses: Houses, tmp_path: Path) -> Push:
    async def pushed(seed: int) -> str:
        directory = save_tiny_adapter(tmp_path / str(seed), tiny_model(), TARGETS, seed=seed, base_digest="tiny")
        return (await houses.publishing.push(NAME, directory, "test")).version_id

    return pushed


async def states(houses: Houses) -> list[WorkerState]:
    alias = await houses.alias()
    assert alias.last is not None
    return [said.state for said in alias.last.rollout.reports.values()]


async def test_two_workers_take_a_version_and_running_answers_keep_theirs(houses: Houses, push: Push) -> None:
    async with houses.one.worker(), houses.two.worker():
        one, two = await push(1), await push(2)
        assert (await houses.activate(one)).active == one
        assert await states(houses) == [WorkerState.TESTED, WorkerState.TESTED]
        expected = await houses.answer(one, sampling=LONG)
        plain = await houses.answer(None, sampling=LONG)

        running = await houses.one.ask("벽지에 얼룩이 있어요", adapter=one, sampling=LONG)
        await houses.one.node.until(lambda: running.id in houses.one.node.texts)
        assert (await houses.activate(two)).active == two
        assert await houses.one.node.final(running) == "done"
        new = await houses.answer(two, sampling=LONG)

        assert (await houses.one.get(running)).token_ids == expected
        assert len({expected, plain, new}) == 3
        assert await houses.answer(one, sampling=LONG) == expected, "the one to go back to stays"

        await houses.publishing.roll_back(NAME, "test", 60.0)
        assert (await houses.ended(one)).active == one


async def test_a_worker_that_was_down_has_it_before_its_first_question(houses: Houses, push: Push) -> None:
    async with houses.one.worker():
        version = await push(1)
        await houses.activate(version)
        expected = await houses.answer(version)

        async with houses.two.worker():
            alive = await houses.store.workers.alive(timedelta(seconds=30))
            assert [worker.adapters for worker in alive] == [(version,), (version,)]
    async with houses.two.worker():  # alone, as after a restart of the house
        assert await houses.answer(version) == expected


async def test_a_worker_that_cannot_load_it_says_why_and_takes_no_such_question(houses: Houses, push: Push) -> None:
    async with houses.one.worker(), houses.two.worker(serving_none):
        version = await push(1)

        alias = await houses.activate(version)

        assert alias.active is None
        assert alias.last is not None
        assert alias.last.outcome is Outcome.WORKER_FAILED
        (failed,) = [said for said in alias.last.rollout.reports.values() if said.state is WorkerState.FAILED]
        assert failed.facts["reason"] == "there is no memory for it"
        assert len(alias.last.workers) == 1


async def test_a_question_waits_for_a_worker_that_has_its_version(houses: Houses, push: Push) -> None:
    async with houses.two.worker():
        version = await push(1)
        await houses.activate(version)
    async with houses.two.worker(serving_none):  # its permit is taken and finds nothing to claim
        asked = await houses.one.ask("벽지에 얼룩이 있어요", adapter=version)
        plain = await houses.one.ask("안녕하세요")
        assert await houses.one.node.final(plain) == "done"
        assert (await houses.one.get(asked)).state is GenerationState.QUEUED

        async with houses.one.worker():
            assert await houses.one.node.final(asked) == "done"


async def test_a_question_whose_version_nobody_has_any_more_fails(houses: Houses, push: Push) -> None:
    async with houses.one.worker():
        version = await push(1)
        await houses.publishing.retire(version, "test")
        asked = await houses.one.ask("벽지에 얼룩이 있어요", adapter=version)

        assert await houses.one.node.final(asked) == "failed"

    assert (await houses.one.get(asked)).error_code == "adapter_unknown"


def serving_none() -> ServedModel:
    """A worker without memory for adapters."""
    model = serving_tiny_model()

    async def refuse(name: str, directory: Path) -> AdapterFacts:
        raise AdapterRefused(adapter=name, reason="there is no memory for it")

    model.engine.load_adapter = refuse  # type: ignore[method-assign]  # of this engine alone
    return model
