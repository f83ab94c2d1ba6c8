"""All answers watched on this node, and what keeps them true: frames from the broker, documents from the store.

Frames may be lost (the broker drops old ones for a node that does not keep up), so whatever is silent for a while
is looked up in the store again: once a second and all together, so that thousands of waiting answers cost a few
queries. What is known to be missing is healed by the streams themselves, at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Sequence

from shared.broker.base import Broker
from shared.chat import Generation, GenerationState
from shared.errors import BrokerUnavailable, StoreUnavailable
from shared.messages import GenerationChanged, TokensGenerated, WatchGeneration
from shared.store import Store
from shared.telemetry import fields
from web.chat.line import Lines, Place, rank_of
from web.chat.live import LiveAnswer

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_RUNNING_SILENCE_S = 2.0
_RETRY_S = 0.5
_READ_TOGETHER = 500
_EXPECT_S = 10.0


class _Watched:
    """An answer, who watches it, and when it was last heard of (loop time)."""

    __slots__ = ("answer", "asked_at", "healing", "heard_at", "is_listening", "watchers")

    def __init__(self, answer: LiveAnswer, now: float) -> None:
        self.answer = answer
        self.watchers = 0
        self.is_listening = False
        self.heard_at = now
        self.asked_at = now - _RETRY_S
        self.healing = asyncio.Lock()

    def is_silent(self, now: float) -> bool:
        is_waiting = self.answer.state in (GenerationState.HELD, GenerationState.QUEUED)
        return now >= self.heard_at + (0 if is_waiting else _RUNNING_SILENCE_S)


class Hub:
    """One per web node."""

    def __init__(self, store: Store, broker: Broker, lines: Lines, node_id: str) -> None:
        self._store = store
        self._broker = broker
        self._lines = lines
        self.node_id = node_id
        self._watched: dict[str, _Watched] = {}
        self._look_now = asyncio.Event()
        self.is_closing = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Receive this node's messages, and look after silent answers, while open."""
        self._broker.on_reconnect(self._hear_nothing)
        async with self._broker.consume_node(self.node_id, self.handle):
            looking = asyncio.create_task(self._look_after_silent())
            try:
                yield
            finally:
                looking.cancel()
                await asyncio.wait([looking])

    def close(self) -> None:
        """Tell every stream to end; browsers come back on another node, or on this one after its restart."""
        self.is_closing = True
        for watched in self._watched.values():
            watched.answer.wake()

    async def handle(self, event: TokensGenerated | GenerationChanged) -> None:
        """A message for this node. Only remembers: streams do the rest."""
        now = asyncio.get_running_loop().time()
        if isinstance(event, GenerationChanged):
            if (watched := self._watched.get(event.generation_id)) and not watched.answer.begins(event):
                watched.answer.mark_stale()
            return
        for frame in event.frames:
            if watched := self._watched.get(frame.generation_id):
                watched.heard_at = now
                watched.answer.apply_frame(frame)

    def expect(self, generation: Generation, place: Place) -> None:
        """A question this node has just written, naming itself as listener: hold what comes for it, so that whoever
        opens its stream within 10 s finds everything here."""
        watched = self._hold(generation.id)
        watched.is_listening = True
        watched.answer.is_stale = False
        watched.answer.place = place
        watched.answer.apply_document(generation)
        asyncio.get_running_loop().call_later(_EXPECT_S, self._let_go, generation.id)

    def known(self, generation_id: str) -> Generation | None:
        """As last read from the store, if it is watched here."""
        watched = self._watched.get(generation_id)
        return watched.answer.generation if watched else None

    @contextlib.asynccontextmanager
    async def watch(self, generation_id: str) -> AsyncIterator[LiveAnswer]:
        """The shared live answer, registered before anything is asked, so that no frame falls between."""
        watched = self._hold(generation_id)
        try:
            yield watched.answer
        finally:
            self._let_go(generation_id)

    def _hold(self, generation_id: str) -> _Watched:
        watched = self._watched.get(generation_id)
        if watched is None:
            now = asyncio.get_running_loop().time()
            watched = self._watched[generation_id] = _Watched(LiveAnswer(generation_id), now)
        elif watched.answer.is_gone:  # a question that was taken back may have been sent again
            watched.answer.look_again()
        watched.watchers += 1
        return watched

    def _let_go(self, generation_id: str) -> None:
        watched = self._watched[generation_id]
        watched.watchers -= 1
        if watched.watchers == 0:
            del self._watched[generation_id]

    def next_check_s(self, generation_id: str) -> float:
        """Seconds until `heal` has something to do if nothing is heard before."""
        watched = self._watched[generation_id]
        if watched.answer.is_stale or watched.answer.has_gap:
            return max(0.0, watched.asked_at + _RETRY_S - asyncio.get_running_loop().time())
        return math.inf

    async def heal(self, generation_id: str) -> None:
        """Read the store and ask the worker again if something is known to be missing.

        Raises StoreUnavailable; the next call tries again.
        """
        watched = self._watched[generation_id]
        answer = watched.answer
        async with watched.healing:
            now = asyncio.get_running_loop().time()
            is_missing_text = answer.has_gap and now >= watched.asked_at + _RETRY_S
            if answer.is_over or not (answer.is_stale or is_missing_text):
                return
            watched.heard_at = watched.asked_at = now
            await self._read(watched)
            await self._follow(answer)

    async def _read(self, watched: _Watched) -> None:
        answer, generations = watched.answer, self._store.generations
        answer.is_stale = False
        try:
            if watched.is_listening:
                generation = await generations.get(answer.generation_id)
            else:
                generation = await generations.listen(answer.generation_id, self.node_id)
        except BaseException:
            answer.is_stale = True
            raise
        watched.is_listening = True
        answer.apply_document(generation)

    async def _look_after_silent(self) -> None:
        """Until cancelled. While the store is away, silent answers say so."""
        now = asyncio.get_running_loop().time
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._look_now.wait()
            self._look_now.clear()
            every = [watched for watched in self._watched.values() if watched.is_listening]
            silent = [watched for watched in every if not watched.answer.is_over and watched.is_silent(now())]
            try:
                await self._look_at(silent)
                is_store_away = False
            except StoreUnavailable:
                is_store_away = True
            except Exception:  # a fault of ours must not leave everybody waiting for ever
                log.exception("look_failed")
                continue
            for watched in silent:
                watched.answer.tell_store(is_away=is_store_away)

    async def _look_at(self, silent: Sequence[_Watched]) -> None:
        """Whoever still stands in line gets a new place; the others are read again. Raises StoreUnavailable."""
        moved = []
        for watched in silent:
            if not await self._is_in_line(watched.answer):
                moved.append(watched)
        for start in range(0, len(moved), _READ_TOGETHER):
            some = moved[start : start + _READ_TOGETHER]
            found = await self._store.generations.get_many(watched.answer.generation_id for watched in some)
            await asyncio.gather(*(self._take(watched, found.get(watched.answer.generation_id)) for watched in some))

    async def _is_in_line(self, answer: LiveAnswer) -> bool:
        generation = answer.generation
        if generation is None or answer.state is not GenerationState.QUEUED:
            return False
        line, rank = await self._lines.of(generation.lane), rank_of(generation)
        place = line.place(rank)
        if line.waiting[place.ahead : place.ahead + 1] != [rank]:
            return False
        answer.move_to(place)
        return True

    async def _take(self, watched: _Watched, generation: Generation | None) -> None:
        answer = watched.answer
        watched.heard_at = asyncio.get_running_loop().time()
        answer.apply_document(generation)
        await self._follow(answer)

    async def _follow(self, answer: LiveAnswer) -> None:
        """Ask its worker for what we lack, and see where it stands."""
        if answer.state is GenerationState.RUNNING:
            await asyncio.gather(self._ask_worker(answer), self._look_at_workers(answer))
        elif not answer.is_over:
            await self._look_at_workers(answer)

    async def _look_at_workers(self, answer: LiveAnswer) -> None:
        generation = answer.generation
        if generation is None:
            return
        line = await self._lines.of(generation.lane)
        if answer.state is GenerationState.QUEUED:
            answer.place = line.place(rank_of(generation))
        else:
            answer.has_worker = line.is_working(generation.worker_id)

    async def _ask_worker(self, answer: LiveAnswer) -> None:
        generation = answer.generation
        if generation is None or generation.worker_id is None:
            return
        message = WatchGeneration(generation_id=answer.generation_id, node_id=self.node_id, offset=len(answer.text))
        try:
            await self._broker.publish_control(message, generation.worker_id)
        except BrokerUnavailable:
            log.info("watch_not_sent", extra=fields(generation_id=answer.generation_id))

    def _hear_nothing(self) -> None:
        """The broker was away, and what it had for us is gone: the next look reads everything."""
        for watched in self._watched.values():
            watched.heard_at = -math.inf
        self._look_now.set()
