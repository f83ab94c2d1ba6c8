"""What a stream does when something goes wrong: nothing is taken back, nothing ends in silence."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState, Message, Origin, Role, SamplingParams, TokenLogprob
from shared.errors import GenerationCrashed, NunmalError
from shared.messages import Frame, FrameToken, GenerationChanged, TokensGenerated
from shared.store import Store
from tests.factories import LANE, generation
from tests.integration.web.api.conftest import chunks_of
from tests.web_visitor import web_settings
from web.api.envelope import Envelopes
from web.api.problems import NodeEnding
from web.api.service import ApiService
from web.api.stream import CompletionStreams
from web.cancellation import Cancellation
from web.chat.admission import Admission
from web.chat.hub import Hub
from web.chat.limits import Limits
from web.chat.line import Lines
from web.chat.stream import StreamTimes
from web.words import load_words

pytestmark = pytest.mark.timeout(30)

_WORDS = load_words()
_QUICK = StreamTimes(heartbeat_s=0.05, life_s=60)


@dataclass
class House:
    """A hub, one question that was asked, and a worker's pen."""

    hub: Hub
    store: Store
    service: ApiService
    asked: Generation

    def streams(self, times: StreamTimes | None = None) -> CompletionStreams:
        return CompletionStreams(self.service, self.hub, Envelopes(_WORDS), times or StreamTimes(), "test")

    async def open(self, times: StreamTimes | None = None) -> AsyncGenerator[str, None]:
        return await self.streams(times).open([self.asked], _WORDS["ko"], with_usage=False)

    async def claim(self) -> Generation:
        claimed = await self.store.generations.claim(LANE, "w")
        assert claimed is not None
        return claimed

    async def ask(self, origin: Origin) -> None:
        """Another question, with logprobs."""
        self.asked = generation(origin=origin, prompt="안녕?", sampling=SamplingParams(logprobs=1), listeners=("node",))
        await self.store.generations.add(self.asked)

    async def checkpoint(self, text: str, told: Sequence[TokenLogprob] | None = None) -> None:
        await self.store.generations.checkpoint(self.asked.id, 1, range(len(text)), text, "0", told)

    async def frame(self, offset: int, text: str, attempt: int = 1, told: Sequence[TokenLogprob] = ()) -> None:
        tokens = tuple(
            FrameToken(start=token.start, spelled=token.bytes, logprob=token.logprob)
            for token in told
            if offset <= token.start < offset + len(text)
        )
        frame = Frame(generation_id=self.asked.id, attempt=attempt, offset=offset, text=text, tokens=tokens)
        await self.hub.handle(TokensGenerated(worker_id="w", frames=(frame,)))

    async def finish(
        self,
        text: str,
        attempt: int = 1,
        state: GenerationState = GenerationState.DONE,
        told: Sequence[TokenLogprob] | None = None,
    ) -> None:
        error = GenerationCrashed() if state is GenerationState.FAILED else None
        await self.store.generations.finish(self.asked.id, attempt, state, range(len(text)), text, error, logprobs=told)
        message = GenerationChanged(generation_id=self.asked.id, attempt=attempt, state=state.value)
        await self.hub.handle(message)


@pytest.fixture
async def house(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[House]:
    lines = Lines(store, 30.0)
    hub = Hub(store, memory_broker, lines, "node")
    admission = Admission(store, memory_broker, lines, Limits(store, web_settings().web), hub)
    service = ApiService(store, admission, Cancellation(store, memory_broker), most_chars=1000)
    asked = generation(origin=Origin.CHAT, prompt=(Message(Role.USER, "안녕?"),))
    await store.generations.add(asked)
    async with hub.running():
        yield House(hub, store, service, asked)
        await service.close()


def _said(events: list[str]) -> str:
    chunks = [chunk for chunk in chunks_of("".join(events)) if chunk and "choices" in chunk]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


async def _read(stream: AsyncGenerator[str, None], until: str) -> list[str]:
    """Events until what they said is this."""
    events: list[str] = []
    while _said(events) != until:
        events.append(await anext(stream))
    return events


async def test_a_lost_worker_is_not_seen(house: House) -> None:
    await house.claim()
    await house.checkpoint("하나 둘 셋")
    stream = await house.open()
    events = await _read(stream, "하나 둘 셋")

    await house.checkpoint("하나")  # what came after it was lost
    await house.store.generations.requeue(house.asked.id, 1)
    await house.claim()
    await house.frame(2, " 둘", attempt=2)
    await house.frame(4, " 셋 넷", attempt=2)
    events += await _read(stream, " 넷")
    await house.finish("하나 둘 셋 넷.", attempt=2)
    events += [event async for event in stream]

    assert _said(events) == "하나 둘 셋 넷."
    assert events[-1] == "data: [DONE]\n\n"


async def test_other_words_of_another_worker_are_an_error_and_no_mixture(house: House) -> None:
    await house.claim()
    await house.checkpoint("하나 둘")
    stream = await house.open()
    await _read(stream, "하나 둘")
    await house.finish("하나 셋 넷")
    *_, last = [event async for event in stream]

    assert chunks_of(last)[0]["error"]["code"] == "generation_crashed"


async def test_a_failure_after_the_first_byte_is_an_event(house: House) -> None:
    await house.claim()
    await house.checkpoint("하나")
    stream = await house.open()
    events = await _read(stream, "하나")
    await house.finish("하나", state=GenerationState.FAILED)
    events += [event async for event in stream]

    (error,) = chunks_of(events[-1])
    assert error["error"]["type"] == "server_error"
    assert "[DONE]" not in "".join(events)


async def test_a_failure_before_the_first_byte_is_a_status(house: House) -> None:
    await house.claim()
    await house.finish("", state=GenerationState.FAILED)

    with pytest.raises(GenerationCrashed):
        await house.open()


async def test_while_it_waits_the_stream_begins_and_beats(house: House) -> None:
    stream = await house.open(_QUICK)
    events = [await anext(stream) for _ in range(3)]

    assert events[1:] == [": heartbeat\n\n"] * 2
    await stream.aclose()


async def test_a_node_that_ends_says_so_and_stops_what_nobody_can_fetch(house: House) -> None:
    await house.claim()
    await house.checkpoint("하나")
    stream = await house.open()
    await _read(stream, "하나")
    house.hub.close()
    *_, last = [event async for event in stream]
    await house.service.close()

    assert chunks_of(last)[0]["error"]["code"] == "node_ending"
    turn = await house.store.generations.get(house.asked.id)
    assert turn is not None
    assert turn.cancel_requested_at is not None


async def test_who_waits_for_a_whole_answer_on_a_node_that_ends_is_told_to_come_again(house: House) -> None:
    waiting = asyncio.create_task(house.streams().whole([house.asked]))
    await asyncio.sleep(0)
    house.hub.close()

    with pytest.raises(NodeEnding) as caught:
        await waiting
    assert caught.value.retryable


async def test_a_stream_that_is_left_stops_its_answer(house: House) -> None:
    await house.claim()
    await house.checkpoint("하나")
    stream = await house.open()
    await _read(stream, "하나")
    await stream.aclose()
    await house.service.close()

    turn = await house.store.generations.get(house.asked.id)
    assert turn is not None
    assert turn.cancel_requested_at is not None


async def test_a_stream_that_ended_stops_nothing(house: House) -> None:
    await house.claim()
    await house.finish("하나")
    async with contextlib.aclosing(await house.open()) as stream:
        assert _said([event async for event in stream]) == "하나"
    await house.service.close()

    turn = await house.store.generations.get(house.asked.id)
    assert turn is not None
    assert turn.cancel_requested_at is None


async def test_a_deleted_answer_is_not_waited_for(house: House) -> None:
    await house.store.generations.remove(house.asked.id)

    with pytest.raises(NunmalError) as caught:
        await house.streams().whole([house.asked])
    assert caught.value.code == "not_found"


# 네 in two tokens, a full stop, a smile in two that begin together, and bytes that never became a character.
_TOLD = (
    *(TokenLogprob("네".encode()[:1], -0.5, start=0), TokenLogprob("네".encode()[1:], -0.25, start=0)),
    TokenLogprob(b". ", -1.0, start=1),
    *(TokenLogprob("🙂".encode()[:3], -2.0, start=3), TokenLogprob("🙂".encode()[3:], 0.0, start=3)),
    TokenLogprob(b"\xff", -4.0, start=4),
)
_SAID = "네. 🙂"


def _told(events: list[str]) -> list[tuple[str, list[tuple[list[int], float]]]]:
    """Each delta's text with its tokens."""
    deltas = []
    for chunk in chunks_of("".join(events)):
        for choice in chunk["choices"] if chunk else []:
            if choice["logprobs"] is not None:
                content = choice["logprobs"]["content"]
                tokens = [(token["bytes"], token["logprob"]) for token in content]
                deltas.append((choice["delta"]["content"], tokens))
    return deltas


def _expected(text: str, tokens: Sequence[TokenLogprob]) -> tuple[str, list[tuple[list[int], float]]]:
    return text, [(list(token.bytes), token.logprob) for token in tokens]


async def test_a_delta_has_the_logprobs_of_the_tokens_that_begin_in_it(house: House) -> None:
    await house.claim()
    await house.ask(Origin.CHAT)
    await house.claim()
    await house.checkpoint("네", _TOLD[:3])  # the full stop is drawn, and held back
    stream = await house.open()
    events = await _read(stream, "네")
    await house.frame(1, ". ", told=_TOLD)
    events += await _read(stream, ". ")
    await house.finish(_SAID, told=_TOLD)
    events += [event async for event in stream]

    assert _told(events) == [_expected("네", _TOLD[:2]), _expected(". ", _TOLD[2:3]), _expected("🙂", _TOLD[3:])]
    assert chunks_of(events[-2])[0]["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }


async def test_logprobs_of_a_lost_worker_are_told_once(house: House) -> None:
    await house.claim()
    await house.ask(Origin.CHAT)
    await house.claim()
    await house.checkpoint("네", _TOLD[:3])
    stream = await house.open()
    await house.frame(1, ". ", told=_TOLD)
    events = await _read(stream, "네. ")

    await house.store.generations.requeue(house.asked.id, 1)
    await house.claim()
    await house.frame(1, ".", attempt=2, told=_TOLD)
    await house.frame(2, " 🙂", attempt=2, told=_TOLD)
    events += await _read(stream, "🙂")
    await house.finish(_SAID, attempt=2, told=_TOLD)
    events += [event async for event in stream]

    assert _said(events) == _SAID
    assert [token for _, tokens in _told(events) for token in tokens] == _expected("", _TOLD)[1]
    assert _told(events)[-1] == _expected("", _TOLD[5:])  # what became no text comes with the end


async def test_raw_text_has_its_logprobs_in_pieces_too(house: House) -> None:
    await house.claim()
    await house.ask(Origin.TEXT)
    await house.claim()
    await house.checkpoint("네", _TOLD[:3])
    stream = await house.open()
    await anext(stream)
    await house.finish(_SAID, told=_TOLD)
    chunks = [chunk for chunk in chunks_of("".join([event async for event in stream])) if chunk]

    told = [chunk["choices"][0]["logprobs"] for chunk in chunks]
    assert told[-1] is None
    assert told[0]["text_offset"] == [1, 3, 3, 4]
    assert told[0]["token_logprobs"] == [-1.0, -2.0, 0.0, -4.0]
