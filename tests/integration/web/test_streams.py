"""Streams heal: lost frames, lost messages, a lost worker, a store that is away, and a node that ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState
from shared.errors import BrokerUnavailable, StoreUnavailable
from shared.evidence import Evidence
from shared.messages import Frame, GenerationChanged, TokensGenerated, WatchGeneration
from shared.store import Store
from tests.factories import LANE, generation
from tests.scripted_worker import ScriptedWorker
from tests.web_visitor import Event, WebVisitor, parse_events, text_of, web_settings
from web.app import create_app, end_streams
from web.chat.hub import Hub
from web.chat.line import Lines
from web.chat.stream import DrawEvidence, Dress, Position, StreamTimes, answer_events, parse_position
from web.words import load_words

pytestmark = pytest.mark.timeout(30)

_WORDS = load_words()["ko"]
_QUICK = StreamTimes(heartbeat_s=0.05, life_s=60)


@dataclass
class Watched:
    """A hub and one question in the store."""

    hub: Hub
    store: Store
    broker: MemoryBroker
    generation: Generation
    streams: list[AsyncGenerator[str, None]] = field(default_factory=list)

    def events(
        self, times: StreamTimes | None = None, draw: DrawEvidence | None = None, dress: Dress | None = None
    ) -> AsyncGenerator[str, None]:
        return self.events_of(self.generation, times, draw, dress)

    def events_of(
        self,
        turn: Generation,
        times: StreamTimes | None = None,
        draw: DrawEvidence | None = None,
        dress: Dress | None = None,
    ) -> AsyncGenerator[str, None]:
        stream = answer_events(self.hub, turn.id, Position(0, 0), _WORDS, times or StreamTimes(), draw, dress)
        self.streams.append(stream)
        return stream

    async def claim(self) -> Generation:
        claimed = await self.store.generations.claim(LANE, "w")
        assert claimed is not None
        return claimed

    async def checkpoint(self, text: str, attempt: int = 1) -> None:
        await self.store.generations.checkpoint(self.generation.id, attempt, range(len(text)), text, "0")

    async def finish(self, text: str, evidence: Evidence | None = None) -> None:
        ids = range(len(text))
        await self.store.generations.finish(
            *(self.generation.id, 1, GenerationState.DONE, ids, text), evidence=evidence
        )

    async def frame(self, offset: int, text: str, attempt: int = 1) -> None:
        frame = Frame(generation_id=self.generation.id, attempt=attempt, offset=offset, text=text)
        await self.hub.handle(TokensGenerated(worker_id="w", frames=(frame,)))

    async def changed(self) -> None:
        await self.hub.handle(GenerationChanged(generation_id=self.generation.id, attempt=1, state="running"))


@pytest.fixture
async def watched(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[Watched]:
    asked = generation()
    await store.generations.add(asked)
    watched = Watched(Hub(store, memory_broker, Lines(store, 30.0), "node"), store, memory_broker, asked)
    async with watched.hub.running():
        yield watched
        for stream in watched.streams:
            await stream.aclose()


async def _until(stream: AsyncIterator[str], is_last: Callable[[Event], bool]) -> list[Event]:
    """Read until an event like this came; returns all of them."""
    events: list[Event] = []
    async for chunk in stream:
        events += parse_events(chunk)
        if events and is_last(events[-1]):
            return events
    return events


def _is(name: str, **data: str) -> Callable[[Event], bool]:
    return lambda event: event.name == name and data.items() <= event.data.items()


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("2.153", (2, 153)),
        ("", (0, 0)),
        ("1", (0, 0)),
        ("-1.2", (0, 0)),
        ("1.2.3", (0, 0)),
        ("１.2", (0, 0)),
        ("1." + "9" * 40, (0, 0)),
    ],
)
def test_a_position_is_attempt_and_offset_or_nothing(text: str, position: tuple[int, int]) -> None:
    assert parse_position(text) == Position(*position)


async def test_lost_frames_are_asked_for_again(store: Store, memory_broker: MemoryBroker, app: Quart) -> None:
    async def say(asked: Generation) -> AsyncIterator[str | None]:
        for piece in ("하나 ", None, "둘 ", "셋 ", None, "넷 ", "다섯"):
            yield piece

    visitor = WebVisitor(app)
    await visitor.sign_up()
    await visitor.ask("잃어버려 볼까요?")
    stream = asyncio.ensure_future(visitor.get(visitor.stream_url))
    async with ScriptedWorker(store, memory_broker, LANE, say), asyncio.timeout(10):
        events = parse_events(await (await stream).get_data(as_text=True))

    assert "하나 둘 셋 넷 다섯".startswith(text_of(events))
    assert events[-1].data["html"] == "<p>하나 둘 셋 넷 다섯</p>\n"


async def test_a_gap_asks_the_worker_from_where_the_text_ends(watched: Watched) -> None:
    asked: asyncio.Queue[WatchGeneration] = asyncio.Queue()

    async def control(message: object) -> None:
        assert isinstance(message, WatchGeneration)
        asked.put_nowait(message)

    await watched.claim()
    async with watched.broker.consume_control("w", control):
        stream = watched.events()
        await _until(stream, _is("state", state="running"))
        assert (await asked.get()).offset == 0
        await watched.frame(0, "가나")
        await _until(stream, _is("text"))
        await watched.frame(5, "바")
        reading = asyncio.ensure_future(_until(stream, _is("text")))
        again = await asked.get()
        await watched.frame(2, "다라마바")
        events = await reading

    assert (again.offset, again.node_id) == (2, "node")
    assert (events[-1].data["offset"], events[-1].data["text"]) == (2, "다라마바")


async def test_without_any_message_the_store_is_looked_at(watched: Watched) -> None:
    stream = watched.events()
    await _until(stream, _is("state", state="queued"))
    await watched.claim()
    await watched.checkpoint("가나다")
    events = await _until(stream, _is("text"))
    await watched.finish("가나다라")
    events += await _until(stream, _is("done"))

    assert text_of(events) == "가나다라"
    assert events[-1].data == {"state": "done", "html": "<p>가나다라</p>\n", "note": ""}


async def test_an_answer_that_is_over_is_sent_at_once(watched: Watched) -> None:
    await watched.claim()
    await watched.finish("다 됐어요.")
    events = parse_events("".join([chunk async for chunk in watched.events()]))

    assert [event.name for event in events] == ["done"]


async def test_who_is_ahead_is_told_and_counted_down(watched: Watched) -> None:
    await watched.store.workers.beat("w", LANE, "test", "0", 1, 1, service_s=4.0)
    earlier = generation(tag=watched.generation.tag - 1)
    await watched.store.generations.add(earlier)
    stream = watched.events()
    events = await _until(stream, _is("state"))
    await watched.store.workers.beat("w", LANE, "test", "0", 1, 1, service_s=4.0)
    await watched.claim()
    events += await _until(stream, _is("state"))

    assert [event.data["note"] for event in events] == ["대기 2번째, 약 8초", "대기 1번째, 약 4초"]


async def test_a_lost_worker_is_noted_and_the_text_stays(watched: Watched) -> None:
    await watched.claim()
    await watched.checkpoint("가나다")
    stream = watched.events()
    events = await _until(stream, _is("text"))
    await watched.store.generations.requeue(watched.generation.id, 1)
    await watched.store.workers.beat("other", LANE, "test", "0", 1, 0)
    await watched.changed()
    waiting = await _until(stream, _is("state"))
    await watched.claim()
    await watched.frame(3, "라", attempt=2)
    events += await _until(stream, _is("text"))

    assert events[0].data["note"] == "다른 작업자에서 이어 쓰는 중이에요."
    assert waiting[-1].data["state"] == "running"
    assert text_of(events) == "가나다라"


async def test_while_the_store_is_away_the_stream_stays(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    await watched.claim()
    stream = watched.events()
    await _until(stream, _is("state"))

    async def away(*args: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(watched.store.generations, "get", away)
        await watched.changed()
        noted = await _until(stream, _is("state"))
    await watched.finish("돌아왔어요.")
    events = await _until(stream, _is("done"))

    assert noted[-1].data["note"] == "잠시 연결이 끊겼어요. 다시 이어 볼게요."
    assert events[-1].data["html"] == "<p>돌아왔어요.</p>\n"


async def test_while_the_store_is_away_whoever_waits_is_told(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = watched.events()
    await _until(stream, _is("state"))

    async def away(*args: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(watched.store.generations, "waiting_in", away)
        noted = await _until(stream, _is("state"))
    back = await _until(stream, _is("state"))

    assert noted[-1].data["note"] == "잠시 연결이 끊겼어요. 다시 이어 볼게요."
    assert back[-1].data["note"] == _WORDS("note.no_worker")


async def test_waiting_streams_read_the_store_together(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them used to read its own document every second."""
    reads: list[str] = []
    for name in ("get", "get_many", "waiting_in"):
        read = getattr(watched.store.generations, name)

        async def counted(*args: object, name: str = name, read: Callable[..., object] = read) -> object:
            reads.append(name)
            return await read(*args)  # type: ignore[misc]

        monkeypatch.setattr(watched.store.generations, name, counted)
    others = [generation(tag=watched.generation.tag + place) for place in range(1, 20)]
    for other in others:
        await watched.store.generations.add(other)
    streams = [watched.events(), *(watched.events_of(other) for other in others)]
    await asyncio.gather(*(_until(stream, _is("state")) for stream in streams))
    reads.clear()
    await watched.claim()
    await _until(streams[0], _is("state", state="running"))

    assert reads.count("get") == 0
    assert reads.count("get_many") == 1
    assert reads.count("waiting_in") <= 3


async def test_without_a_broker_checkpoints_are_shown(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*args: object) -> None:
        raise BrokerUnavailable

    monkeypatch.setattr(watched.broker, "publish_control", away)
    await watched.claim()
    await watched.checkpoint("가나다")
    events = await _until(watched.events(), _is("text"))

    assert text_of(events) == "가나다"


async def test_a_silent_stream_beats(watched: Watched) -> None:
    stream = watched.events(times=_QUICK)
    chunks = [await anext(stream) for _ in range(4)]

    assert chunks[0] == "retry: 1000\n\n"
    assert chunks[2:] == [": heartbeat\n\n"] * 2


async def test_an_old_stream_asks_the_browser_to_come_anew(watched: Watched) -> None:
    events = parse_events("".join([chunk async for chunk in watched.events(times=StreamTimes(life_s=0.05))]))

    assert [event.name for event in events] == ["state", "reconnect"]


async def test_a_node_that_ends_tells_its_browsers(watched: Watched) -> None:
    stream = watched.events()
    await _until(stream, _is("state"))
    reading = asyncio.ensure_future(anext(stream))
    watched.hub.close()

    assert parse_events(await reading)[0].name == "reconnect"
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_streams_of_one_answer_share_it_and_nothing_is_left_behind(watched: Watched) -> None:
    streams = [watched.events() for _ in range(3)]
    await watched.claim()
    for stream in streams:
        await _until(stream, _is("state"))
    shared = len(watched.hub._watched)
    await watched.finish("끝.")
    await watched.changed()
    endings = await asyncio.gather(*(_until(stream, _is("done")) for stream in streams))
    for stream in streams:
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    assert shared == 1
    assert len({str(events[-1]) for events in endings}) == 1
    assert watched.hub._watched == {}


async def test_two_nodes_serve_the_same_answer(store: Store, memory_broker: MemoryBroker, app: Quart) -> None:
    may_end = asyncio.Event()

    async def say(asked: Generation) -> AsyncIterator[str]:
        yield "하나 "
        await may_end.wait()
        yield "둘"

    second = create_app(web_settings(), memory_broker, store, node_id="second")
    async with second.test_app(), asyncio.timeout(10):
        visitor = WebVisitor(app)
        await visitor.sign_up()
        await visitor.ask("두 곳에서 볼게요")
        async with ScriptedWorker(store, memory_broker, LANE, say) as worker:
            await worker.has_stored(1)
            elsewhere = WebVisitor(second)
            elsewhere.client.cookie_jar = visitor.client.cookie_jar
            streams = [asyncio.ensure_future(one.get(visitor.stream_url)) for one in (visitor, elsewhere)]
            may_end.set()
            bodies = [await (await stream).get_data(as_text=True) for stream in streams]

    assert [parse_events(body)[-1].data["html"] for body in bodies] == ["<p>하나 둘</p>\n"] * 2


async def test_an_answer_is_stopped_at_any_node(store: Store, memory_broker: MemoryBroker, app: Quart) -> None:
    async def say(asked: Generation) -> AsyncIterator[str]:
        yield "끝나지 않는 "
        await asyncio.Event().wait()

    second = create_app(web_settings(), memory_broker, store, node_id="second")
    async with second.test_app(), asyncio.timeout(10), ScriptedWorker(store, memory_broker, LANE, say) as worker:
        visitor = WebVisitor(app)
        await visitor.sign_up()
        await visitor.ask("어디서든 멈춰 줘")
        elsewhere = WebVisitor(second)
        elsewhere.client.cookie_jar = visitor.client.cookie_jar
        stream = asyncio.ensure_future(visitor.get(visitor.stream_url))
        await worker.has_stored(1)
        conversation = visitor.stream_url.split("/stream/")[0]
        await elsewhere.get(conversation)
        await elsewhere.post(f"{conversation}/stop")
        events = parse_events(await (await stream).get_data(as_text=True))

    assert events[-1].data["state"] == "stopped"


async def test_ending_streams_leaves_no_request_open(app: Quart) -> None:
    visitor = WebVisitor(app)
    await visitor.sign_up()
    await visitor.ask("기다릴게요")
    stream = asyncio.ensure_future(visitor.get(visitor.stream_url))
    end_streams(app)
    async with asyncio.timeout(5):
        events = parse_events(await (await stream).get_data(as_text=True))

    assert events[-1].name == "reconnect"


async def test_evidence_comes_drawn_before_the_end(watched: Watched) -> None:
    async def draw(turn: Generation, evidence: Evidence) -> str:
        return f"<p>{turn.answer} {evidence.source}</p>"

    await watched.claim()
    await watched.finish("세 개예요.", Evidence(source="program", pictures=()))
    events = await _until(watched.events(draw=draw), _is("done"))

    assert [event.name for event in events] == ["evidence", "done"]
    assert events[0].data == {"source": "program", "pictures": [], "html": "<p>세 개예요. program</p>"}


async def test_finished_blocks_and_the_whole_come_dressed_while_a_worker_is_lost(watched: Watched) -> None:
    """Dressing takes a while, in which the text may be cut."""
    text = "하나\n\n둘\n"

    async def dress(said: str) -> str:
        if said.startswith("하나\n\n"):
            await watched.frame(0, "다른 답", attempt=2)
        return f"<b>{said.strip()}</b>"

    await watched.claim()
    stream = watched.events(dress=dress)
    events = await _until(stream, _is("state"))
    await watched.frame(0, text)
    events += await _until(stream, lambda event: event.name == "text" and bool(event.data["blocks"]))
    assert events[-1].data["blocks"] == [{"start": 0, "end": 4, "html": "<b>하나</b>"}]
    assert events[-1].id == "1.6"
    await watched.store.generations.requeue(watched.generation.id, 1)
    await watched.claim()
    ids = range(4)
    await watched.store.generations.finish(watched.generation.id, 2, GenerationState.DONE, ids, "다른 답")
    await watched.hub.handle(GenerationChanged(generation_id=watched.generation.id, attempt=2, state="done"))
    events += await _until(stream, _is("done"))

    assert text_of(events) == "다른 답"
    assert events[-1].data["html"] == "<b>다른 답</b>"


async def test_an_answer_ends_although_its_evidence_cannot_be_drawn(watched: Watched) -> None:
    async def draw(turn: Generation, evidence: Evidence) -> str:
        raise StoreUnavailable

    await watched.claim()
    await watched.finish("세 개예요.", Evidence(source="program", pictures=()))
    events = await _until(watched.events(draw=draw), _is("done"))

    assert [event.name for event in events] == ["done"]
