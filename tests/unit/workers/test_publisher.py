"""Frames reach every node in order and once, first text at once, later text together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from shared.broker.memory import MemoryBroker
from shared.chat import GenerationState, TokenLogprob
from shared.errors import BrokerUnavailable
from shared.messages import GenerationChanged, TokensGenerated
from workers.publisher import Publisher, gathering_s

LONG_S = 60.0  # later text would wait this long


class RecordingBroker(MemoryBroker):
    """Keeps what is sent to nodes; can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, TokensGenerated | GenerationChanged]] = []
        self.news = asyncio.Event()
        self.is_away = False
        self.refused = asyncio.Event()

    async def publish_to_node(self, node_id: str, message: TokensGenerated | GenerationChanged) -> None:
        if self.is_away:
            self.refused.set()
            raise BrokerUnavailable
        self.sent.append((node_id, message))
        self.news.set()

    def frames(self, node_id: str) -> list[tuple[str, int, str]]:
        return [
            (frame.generation_id, frame.offset, frame.text)
            for node, message in self.sent
            if node == node_id and isinstance(message, TokensGenerated)
            for frame in message.frames
        ]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.sent) < count:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
def broker() -> RecordingBroker:
    return RecordingBroker()


@contextlib.asynccontextmanager
async def publishing(broker: RecordingBroker, frame_s: float) -> AsyncIterator[Publisher]:
    publisher = Publisher(broker, "worker", frame_s)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_the_first_text_of_an_answer_leaves_at_once(broker: RecordingBroker) -> None:
    async with publishing(broker, LONG_S) as publisher:
        stream = publisher.open("a", 1, "", ["node"])
        stream.append("안")
        await broker.until(1)

    assert broker.frames("node") == [("a", 0, "안")]


async def test_later_text_of_all_answers_travels_in_one_message_per_node(broker: RecordingBroker) -> None:
    async with publishing(broker, 0.05) as publisher:
        streams = [publisher.open(name, 1, "", ["one", "two"]) for name in "abc"]
        for stream in streams:
            stream.append("가")
        await broker.until(2)
        for letter in "나다":
            for stream in streams:
                stream.append(letter)
        await broker.until(4)

    assert len(broker.sent) == 4
    assert sorted(broker.frames("one")[3:]) == [("a", 1, "나다"), ("b", 1, "나다"), ("c", 1, "나다")]
    assert broker.frames("one").sort() == broker.frames("two").sort()


async def test_a_continued_answer_is_sent_from_where_it_was_kept(broker: RecordingBroker) -> None:
    async with publishing(broker, LONG_S) as publisher:
        publisher.open("a", 2, "이미 있던 ", ["node"]).append("글")
        await broker.until(1)

    assert broker.frames("node") == [("a", 6, "글")]


async def test_a_node_that_begins_to_watch_gets_the_rest_at_once_and_then_everything(broker: RecordingBroker) -> None:
    async with publishing(broker, 0.01) as publisher:
        stream = publisher.open("a", 1, "안녕하세요", [])
        stream.watch("late", 2)
        await broker.until(1)
        stream.append("!")
        await broker.until(2)

    assert broker.frames("late") == [("a", 2, "하세요"), ("a", 5, "!")]


async def test_a_node_that_has_all_or_more_is_told_where_the_answer_is(broker: RecordingBroker) -> None:
    async with publishing(broker, LONG_S) as publisher:
        publisher.open("a", 1, "안녕", []).watch("ahead", 9)
        await broker.until(1)

    assert broker.frames("ahead") == [("a", 2, "")]


async def test_text_waits_for_a_broker_that_is_away(broker: RecordingBroker) -> None:
    async with publishing(broker, 0.01) as publisher:
        broker.is_away = True
        stream = publisher.open("a", 1, "", ["node"])
        stream.append("안")
        await broker.refused.wait()
        stream.append("녕")
        broker.is_away = False
        await broker.until(1)

    assert broker.frames("node") == [("a", 0, "안녕")]


async def test_flush_returns_when_all_was_sent(broker: RecordingBroker) -> None:
    async with publishing(broker, LONG_S) as publisher:
        stream = publisher.open("a", 1, "", ["node"])
        stream.append("하나")
        await publisher.flush(stream)
        stream.append(" 둘")
        await publisher.flush(stream)

    assert broker.frames("node") == [("a", 0, "하나"), ("a", 2, " 둘")]


async def test_flush_gives_up_when_the_broker_stays_away(
    broker: RecordingBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.publisher._FLUSH_TIMEOUT_S", 0.05)
    broker.is_away = True
    async with publishing(broker, 0.01) as publisher, asyncio.timeout(5):
        stream = publisher.open("a", 1, "", ["node"])
        stream.append("안")

        await publisher.flush(stream)


async def test_a_closed_stream_is_silent(broker: RecordingBroker) -> None:
    async with publishing(broker, 0.01) as publisher:
        gone, stays = publisher.open("gone", 1, "", ["node"]), publisher.open("stays", 1, "", ["node"])
        publisher.close(gone)
        gone.append("안")
        stays.append("녕")
        await broker.until(1)

    assert broker.frames("node") == [("stays", 0, "녕")]


async def test_a_change_of_state_reaches_everybody_once(broker: RecordingBroker) -> None:
    async with publishing(broker, LONG_S) as publisher:
        stream = publisher.open("a", 3, "", ["one", "two"])
        await publisher.announce(stream, GenerationState.DONE, also_to=["two", "three"])

    assert sorted(node for node, _ in broker.sent) == ["one", "three", "two"]
    (_, change) = broker.sent[0]
    assert isinstance(change, GenerationChanged)
    assert (change.generation_id, change.attempt, change.state) == ("a", 3, "done")


async def test_logprobs_travel_with_the_text_their_tokens_begin_in(broker: RecordingBroker) -> None:
    first = TokenLogprob("가".encode()[:2], -0.5, (TokenLogprob(b"a", -1.0),), start=0)
    logprobs = [first, TokenLogprob("가".encode()[2:], 0.0, start=0), TokenLogprob(b"!", -2.0, start=1)]
    async with publishing(broker, 0.001) as publisher:
        stream = publisher.open("a", 2, "", ["node"], logprobs)
        stream.append("가")
        await publisher.flush(stream)
        logprobs.append(TokenLogprob(b"?", -3.0, start=2))
        stream.append("!?")
        await publisher.flush(stream)
        stream.watch("late", 1)
        await publisher.flush(stream)

    told = [
        (node, [(token.start, token.spelled, token.top) for token in frame.tokens])
        for node, message in broker.sent
        if isinstance(message, TokensGenerated)
        for frame in message.frames
    ]
    assert told == [
        ("node", [(0, "가".encode()[:2], ((b"a", -1.0),)), (0, "가".encode()[2:], ())]),
        ("node", [(1, b"!", ()), (2, b"?", ())]),
        ("late", [(1, b"!", ()), (2, b"?", ())]),
    ]


@pytest.mark.parametrize(("streams", "seconds"), [(1, 0.02), (13, 0.02), (32, 0.048), (64, 0.096), (500, 0.1)])
def test_the_more_answers_the_longer_their_text_is_gathered(streams: int, seconds: float) -> None:
    assert gathering_s(0.02, streams) == pytest.approx(seconds)
    assert gathering_s(0.2, streams) == 0.2
