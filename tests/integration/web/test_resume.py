"""A stream may be cut anywhere and go on at another node: every cut point of one answer, and random ways through it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from shared.broker.memory import MemoryBroker
from shared.chat import Generation
from shared.messages import GenerateReply
from shared.store import Store
from tests.factories import LANE, generation
from tests.scripted_worker import ScriptedWorker
from tests.web_visitor import parse_events, text_of
from web.chat.hub import Hub
from web.chat.line import Lines
from web.chat.stream import Position, StreamTimes, answer_events
from web.words import load_words

pytestmark = pytest.mark.timeout(40)

_WORDS = load_words()["ko"]
_PIECES = ("가나다", "🙂 ", "\n\n**굵", "게**를", " 쓰고\n", "- 하나\n- 둘", "\n\n", "끝.")
_ANSWER = "".join(_PIECES)


@dataclass
class Nodes:
    """Two web nodes, and a worker that says one more piece whenever it may."""

    hubs: list[Hub]
    store: Store
    broker: MemoryBroker
    asked: Generation
    may_say: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    workers: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def say(self, claimed: Generation) -> AsyncIterator[str]:
        at, may_say = 0, self.may_say
        for piece in _PIECES:
            if at >= len(claimed.answer):
                await may_say.acquire()
                yield piece
            at += len(piece)

    async def start_worker(self) -> ScriptedWorker:
        worker = ScriptedWorker(self.store, self.broker, LANE, self.say)
        await self.workers.enter_async_context(worker)
        await self.broker.publish_permit(LANE, GenerateReply(generation_id=self.asked.id))
        return worker

    async def replace_worker(self) -> ScriptedWorker:
        """The worker is lost; another continues from the checkpoint."""
        await self.workers.aclose()
        self.may_say = asyncio.Semaphore(0)  # the lost one may still wait for the old one
        now = await self.store.generations.get(self.asked.id)
        assert now is not None
        await self.store.generations.requeue(self.asked.id, now.attempt)
        return await self.start_worker()

    async def read(self, node: int, attempt: int, have: str, wanted: str) -> str:
        """What a browser that comes with `have` shows as soon as it has `wanted`, or when the answer is over."""
        position = Position(attempt, len(have))
        events = answer_events(self.hubs[node], self.asked.id, position, _WORDS, StreamTimes())
        async with aclosing(events), asyncio.timeout(10):
            async for chunk in events:
                have = text_of(parse_events(chunk), have)
                assert _ANSWER.startswith(have)
                if have == wanted or "event: done" in chunk:
                    break
        return have


@pytest.fixture
async def nodes(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[Nodes]:
    asked = generation()
    await store.generations.add(asked)
    hubs = [Hub(store, memory_broker, Lines(store, 30.0), name) for name in ("one", "two")]
    nodes = Nodes(hubs, store, memory_broker, asked)
    async with nodes.workers, hubs[0].running(), hubs[1].running():
        yield nodes


async def test_every_cut_point_goes_on_exactly_at_either_node(nodes: Nodes) -> None:
    worker = await nodes.start_worker()
    said = ""
    for number, piece in enumerate(_PIECES[:-1]):
        attempt = 1
        if number == 4:
            worker, attempt = await nodes.replace_worker(), 2
        nodes.may_say.release()
        said += piece
        await worker.has_stored(len(said))
        for cut in range(len(said) + 1):
            for node in (0, 1):
                assert await nodes.read(node, attempt, said[:cut], said) == said


@pytest.mark.parametrize("seed", range(8))
async def test_random_ways_through_an_answer_end_with_it(nodes: Nodes, seed: int) -> None:
    chance = random.Random(seed)
    worker = await nodes.start_worker()
    said, have, attempt = "", "", 1
    for piece in _PIECES[:-1]:
        if chance.random() < 0.3:
            worker = await nodes.replace_worker()
        nodes.may_say.release()
        said += piece
        await worker.has_stored(len(said))
        if chance.random() < 0.7:
            lost = chance.randrange(len(have) + 1)  # events that never arrived
            have = await nodes.read(chance.randrange(2), attempt, have[:lost], said)
            now = await nodes.store.generations.get(nodes.asked.id)
            assert now is not None
            attempt = now.attempt
    nodes.may_say.release()
    await worker.has_ended()
    events = answer_events(nodes.hubs[seed % 2], nodes.asked.id, Position(attempt, len(have)), _WORDS, StreamTimes())
    done = parse_events("".join([chunk async for chunk in events]))[-1]

    assert done.name == "done"
    assert "<strong>굵게</strong>를 쓰고" in done.data["html"]
    assert done.id.endswith(f".{len(_ANSWER)}")
