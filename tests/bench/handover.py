"""What people notice when a worker dies with fifty answers, and when somebody stops one while others wait."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.bench.client import Session
from tests.bench.figures import percentile
from tests.bench.site import Site

_ANSWERS = 50
_SLOTS = 64
_TOKENS = 1000
_WRITTEN = 60  # characters that everybody has before the worker is killed
_BUSY_SLOTS = 8
_STEPS = 200
_WITHIN_S = 240


class _Reader:
    """Somebody who asks and reads to the end."""

    def __init__(self, site: Site, session: Session, question: str) -> None:
        self.session = session
        self.generation_id = ""
        self.text = ""
        self.state = ""
        self.rewritten = 0  # characters that became others after they were seen
        self.moments: list[tuple[float, int]] = []  # when text came, and of which attempt
        self.running_at = 0.0
        self.is_over = False
        self._changed = asyncio.Condition()
        self._site = site
        self._question = question

    async def read(self) -> None:
        self.generation_id = await self.session.ask(self._question)
        async for event in self.session.events(self.generation_id):
            if event.name == "state" and event.data["state"] == "running":
                self.running_at = self.running_at or time.perf_counter()
            if event.name == "text":
                offset, text = event.data["offset"], event.data["text"]
                seen = self.text[offset : offset + len(text)]
                self.rewritten += sum(a != b for a, b in zip(seen, text, strict=False))
                self.text = self.text[:offset] + text
                self.moments.append((time.perf_counter(), int(event.id.partition(".")[0])))
            self.state = event.data.get("state", self.state)
            self.is_over = event.name == "done"
            async with self._changed:
                self._changed.notify_all()

    def moments_of_attempt(self, attempt: int) -> list[float]:
        return [moment for moment, of in self.moments if of == attempt]

    async def until(self, condition: Callable[[_Reader], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: condition(self))

    async def is_whole(self) -> bool:
        generation = await self._site.store.generations.get(self.generation_id)
        return generation is not None and generation.answer == self.text


@asynccontextmanager
async def _readers(site: Site, address: str) -> AsyncIterator[Callable[[], Awaitable[_Reader]]]:
    """Yields what lets one more person ask. They read on until the end, or until the block is left."""
    tasks: list[asyncio.Task[None]] = []

    async def one_more() -> _Reader:
        question = f"{len(tasks)}번 손님이 묻습니다. 긴 여행 이야기를 들려줄 수 있나요?"
        reader = _Reader(site, await site.session(address), question)
        tasks.append(asyncio.create_task(reader.read()))
        return reader

    try:
        async with asyncio.timeout(_WITHIN_S):
            yield one_more
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def measure_failover(site: Site) -> dict[str, Any]:
    """SIGKILL of a worker that writes fifty answers while another one is idle; all are read to their end."""
    with site.web() as web, site.worker(max_new_tokens=_TOKENS, slots=_SLOTS) as first:
        async with _readers(site, web.address) as one_more:
            readers = [await one_more() for _ in range(_ANSWERS)]
            for reader in readers:
                await reader.until(lambda one: len(one.text) > _WRITTEN)
            with site.worker(max_new_tokens=_TOKENS, slots=_SLOTS):
                killed = time.perf_counter()
                os.kill(first.worker, signal.SIGKILL)
                for reader in readers:
                    await reader.until(lambda one: one.is_over)
                whole = [await reader.is_whole() for reader in readers]
    gaps_s = [min(after) - killed for reader in readers if (after := reader.moments_of_attempt(2))]
    return {
        "failover_50_s": {"p50": percentile(gaps_s, 50), "p99": percentile(gaps_s, 99)},
        "struck": len(gaps_s),
        "whole": sum(whole),
        "rewritten_characters": sum(reader.rewritten for reader in readers),
        "gaps_s": gaps_s,
    }


async def measure_stop(site: Site, *, samples: int) -> dict[str, Any]:
    """All slots write and one question waits; an answer is stopped, and the one that waited takes its slot."""
    running_ms, text_ms = [], []
    async with site.alone(max_new_tokens=_STEPS) as engine:
        alone = await engine.answer(["긴 여행 이야기를 들려줄 수 있나요?"] * _BUSY_SLOTS)
    with site.web() as web, site.worker(max_new_tokens=_TOKENS, slots=_BUSY_SLOTS):
        async with _readers(site, web.address) as one_more:
            writing = deque([await one_more() for _ in range(_BUSY_SLOTS)])
            for reader in writing:
                await reader.until(lambda one: bool(one.text))
            for _ in range(samples):
                waiting = await one_more()
                await waiting.until(lambda one: one.state == "queued")
                stopped = writing.popleft()
                asked = time.perf_counter()
                await stopped.session.stop(stopped.generation_id)
                await waiting.until(lambda one: bool(one.text))
                running_ms.append(1000 * (waiting.running_at - asked))
                text_ms.append(1000 * (waiting.moments[0][0] - asked))
                writing.append(waiting)
    return {
        "stop_to_next_ms": {"running": statistics.median(running_ms), "text": statistics.median(text_ms)},
        "step_ms": 1000 * alone.seconds / (alone.tokens / _BUSY_SLOTS),
        "running_ms": running_ms,
        "text_ms": text_ms,
    }
