"""How many streams one web process holds, what an idle one weighs, and whether live ones among them are on time.

Idle streams watch questions that wait in a lane without a worker. The live ones get their text from the product's own
Publisher over RabbitMQ; every piece carries the moment it was written, so a reader knows how old it is.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from shared.broker.rabbitmq import RabbitBroker
from shared.chat import Generation, GenerationState
from shared.ids import new_id
from shared.settings import WorkerSettings
from tests.bench.client import Session
from tests.bench.figures import percentile
from tests.bench.processes import cpu_seconds, resident_kib
from tests.bench.site import Site
from workers.publisher import AnswerStream, Publisher

_IDLE_LANE, _LIVE_LANE = "chat.nobody", "chat.live"
_OPENED_TOGETHER = 50
_OPENED_WITHIN_S = 60.0
_TICK_S = 0.01
_TICKS_A_PIECE = 5  # each live stream gets a piece every 50 ms
_QUIET_S = 10.0


async def measure(site: Site, *, idle: int, live: int, seconds: float) -> dict[str, Any]:
    """`seconds`: how long the live streams are written to."""
    with site.web() as web:
        async with asyncio.TaskGroup() as reading:
            streams = _Streams(site, await site.session(web.address), reading)
            first = await streams.open(_IDLE_LANE, 200)  # what the first ones cost once is not theirs
            before_kib, begun = resident_kib(web.pid), time.monotonic()
            waiting = await streams.open(_IDLE_LANE, idle)
            opening_s = time.monotonic() - begun
            quiet_cpu_s = -cpu_seconds(web.pid)
            await asyncio.sleep(_QUIET_S)
            quiet_cpu_s += cpu_seconds(web.pid)
            growth_kib = resident_kib(web.pid) - before_kib
            writing = await streams.open(_LIVE_LANE, live)
            live_cpu_s = -cpu_seconds(web.pid)
            await _write(site, live, seconds)
            live_cpu_s += cpu_seconds(web.pid)
            for reader in writing:
                await reader.ended.wait()
            held = sum(not reader.ended.is_set() for reader in waiting)
            for reader in first + waiting:
                reader.task.cancel()
    delays_ms = [delay * 1000 for reader in writing for delay in reader.delays]
    complete = sum([await reader.is_complete(site) for reader in writing])
    return {
        "kib_per_idle_stream": growth_kib / idle,
        "streams_held": {"idle": held, "live": complete},
        "live_delay_ms": {"p50": percentile(delays_ms, 50), "p99": percentile(delays_ms, 99)},
        "opening_s": opening_s,
        "web_cores_used": {"idle": quiet_cpu_s / _QUIET_S, "live": live_cpu_s / seconds},
        "live_pieces": len(delays_ms),
        "live_delays_ms": delays_ms[:: max(1, len(delays_ms) // 2000)],
    }


class _Reader:
    """One open stream."""

    def __init__(self, session: Session, turn: Generation, tasks: asyncio.TaskGroup) -> None:
        self._turn = turn
        self.opened = asyncio.Event()
        self.ended = asyncio.Event()
        self.delays: list[float] = []  # seconds from the writing of a piece to its reading
        self._text = ""
        self.task = tasks.create_task(self._read(session))

    async def _read(self, session: Session) -> None:
        try:
            async with aclosing(session.events(self._turn.id, self._turn.conversation_id)) as events:
                async for event in events:
                    self.opened.set()
                    if event.name == "text":
                        now = time.monotonic()
                        self._text = self._text[: event.data["offset"]] + event.data["text"]
                        self.delays += [now - float(piece) for piece in event.data["text"].split()]
        finally:
            self.ended.set()

    async def is_complete(self, site: Site) -> bool:
        turn = await site.store.generations.get(self._turn.id)
        return turn is not None and turn.state is GenerationState.DONE and turn.answer == self._text


class _Streams:
    """Opens streams of one person, each on a question of its own."""

    def __init__(self, site: Site, session: Session, tasks: asyncio.TaskGroup) -> None:
        self._site = site
        self._session = session
        self._tasks = tasks

    async def open(self, lane: str, count: int) -> list[_Reader]:
        readers: list[_Reader] = []
        while len(readers) < count:
            some = [self._turn(lane) for _ in range(min(_OPENED_TOGETHER, count - len(readers)))]
            await asyncio.gather(*(self._site.store.generations.add(turn) for turn in some))
            opening = [_Reader(self._session, turn, self._tasks) for turn in some]
            async with asyncio.timeout(_OPENED_WITHIN_S):
                await asyncio.gather(*(reader.opened.wait() for reader in opening))
            readers += opening
        return readers

    def _turn(self, lane: str) -> Generation:
        name = new_id()
        return Generation(
            id=name,
            conversation_id=name,
            user_id=self._session.user_id,
            parent_id=None,
            question="기다리고 있어요.",
            lane=lane,
            state=GenerationState.QUEUED,
            seed=1,
            tag=time.time(),
            created_at=datetime.now(UTC),
        )


async def _write(site: Site, live: int, seconds: float) -> None:
    """Answer all live questions at once, as a worker does, with pieces that name their moment."""
    generations, settings, worker_id = site.store.generations, WorkerSettings(), new_id()
    async with RabbitBroker(site.broker_url) as broker, asyncio.TaskGroup() as tasks:
        publisher = Publisher(broker, worker_id, settings.frame_ms / 1000)
        publishing = tasks.create_task(publisher.run())
        beating = tasks.create_task(_beat(site, worker_id, live))
        streams: list[AnswerStream] = []
        for _ in range(live):
            claimed = await generations.claim(_LIVE_LANE, worker_id)
            assert claimed is not None
            streams.append(publisher.open(claimed.id, claimed.attempt, "", claimed.listeners))
        ends_at = time.monotonic() + seconds
        for tick in itertools.count():
            if time.monotonic() >= ends_at:
                break
            for stream in streams[tick % _TICKS_A_PIECE :: _TICKS_A_PIECE]:
                stream.append(f"{time.monotonic():.4f} ")
            await asyncio.sleep(_TICK_S)
        for stream in streams:
            await publisher.flush(stream)
            await generations.finish(stream.generation_id, stream.attempt, GenerationState.DONE, (), stream.text)
            await publisher.announce(stream, GenerationState.DONE)
        publishing.cancel()
        beating.cancel()


async def _beat(site: Site, worker_id: str, slots: int) -> None:
    while True:
        await site.store.workers.beat(worker_id, _LIVE_LANE, "live", "0", slots, slots)
        await asyncio.sleep(WorkerSettings().heartbeat_s)
