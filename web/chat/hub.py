"""All answers watched on this node, and what keeps them true: frames from the broker, documents from the store.

Frames may be lost (the broker drops old ones for a node that does not keep up), so whatever is silent for a while
is read from the store again. No task runs here: the streams that watch an answer heal it when they wake.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from shared.broker.base import Broker
from shared.chat import GenerationState
from shared.errors import BrokerUnavailable
from shared.messages import GenerationChanged, TokensGenerated, WatchGeneration
from shared.store import Store
from shared.telemetry import fields
from web.chat.line import Lines, rank_of
from web.chat.live import LiveAnswer

log = logging.getLogger(__name__)

_QUEUED_SILENCE_S = 1.0
_RUNNING_SILENCE_S = 2.0
_GAP_RETRY_S = 0.5


class _Watched:
    """An answer, who watches it, and when it was last heard of (loop time)."""

    def __init__(self, answer: LiveAnswer, now: float) -> None:
        self.answer = answer
        self.watchers = 0
        self.is_listening = False
        self.heard_at = now
        self.asked_at = now - _GAP_RETRY_S
        self.healing = asyncio.Lock()


class Hub:
    """One per web node."""

    def __init__(self, store: Store, broker: Broker, lines: Lines, node_id: str) -> None:
        self._store = store
        self._broker = broker
        self._lines = lines
        self._node_id = node_id
        self._watched: dict[str, _Watched] = {}
        self.is_closing = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Receive this node's messages while open."""
        self._broker.on_reconnect(self._mark_all_stale)
        async with self._broker.consume_node(self._node_id, self.handle):
            yield

    def close(self) -> None:
        """Tell every stream to end; browsers come back on another node, or on this one after its restart."""
        self.is_closing = True
        for watched in self._watched.values():
            watched.answer.wake()

    async def handle(self, event: TokensGenerated | GenerationChanged) -> None:
        """A message for this node. Only remembers: streams do the rest."""
        now = asyncio.get_running_loop().time()
        if isinstance(event, GenerationChanged):
            if watched := self._watched.get(event.generation_id):
                watched.answer.mark_stale()
            return
        for frame in event.frames:
            if watched := self._watched.get(frame.generation_id):
                watched.heard_at = now
                watched.answer.apply_frame(frame)

    @contextlib.asynccontextmanager
    async def watch(self, generation_id: str) -> AsyncIterator[LiveAnswer]:
        """The shared live answer, registered before anything is asked, so that no frame falls between."""
        watched = self._watched.get(generation_id)
        if watched is None:
            now = asyncio.get_running_loop().time()
            watched = self._watched[generation_id] = _Watched(LiveAnswer(generation_id), now)
        watched.watchers += 1
        try:
            yield watched.answer
        finally:
            watched.watchers -= 1
            if watched.watchers == 0:
                del self._watched[generation_id]

    def next_check_s(self, generation_id: str) -> float:
        """Seconds until `heal` has something to do if nothing is heard before."""
        watched = self._watched[generation_id]
        now = asyncio.get_running_loop().time()
        silence = watched.heard_at + _silence_s(watched.answer) - now
        if watched.answer.has_gap:
            silence = min(silence, watched.asked_at + _GAP_RETRY_S - now)
        return max(0.0, silence)

    async def heal(self, generation_id: str) -> None:
        """Read the store and ask the worker again if something is known or feared to be missing.

        Raises StoreUnavailable; the next call tries again.
        """
        watched = self._watched[generation_id]
        answer = watched.answer
        async with watched.healing:
            now = asyncio.get_running_loop().time()
            is_missing_text = answer.has_gap and now >= watched.asked_at + _GAP_RETRY_S
            is_silent = now >= watched.heard_at + _silence_s(answer)
            if answer.is_over or not (answer.is_stale or is_missing_text or is_silent):
                return
            watched.heard_at = watched.asked_at = now
            await self._read(watched)
            if not answer.is_over:
                await self._look_at_workers(answer)
            if answer.state is GenerationState.RUNNING:
                await self._ask_worker(answer)

    async def _read(self, watched: _Watched) -> None:
        answer, generations = watched.answer, self._store.generations
        answer.is_stale = False
        try:
            if watched.is_listening:
                generation = await generations.get(answer.generation_id)
            else:
                generation = await generations.listen(answer.generation_id, self._node_id)
        except BaseException:
            answer.is_stale = True
            raise
        watched.is_listening = True
        answer.apply_document(generation)

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
        message = WatchGeneration(generation_id=answer.generation_id, node_id=self._node_id, offset=len(answer.text))
        try:
            await self._broker.publish_control(message, generation.worker_id)
        except BrokerUnavailable:
            log.info("watch_not_sent", extra=fields(generation_id=answer.generation_id))

    def _mark_all_stale(self) -> None:
        for watched in self._watched.values():
            watched.answer.mark_stale()


def _silence_s(answer: LiveAnswer) -> float:
    return _QUEUED_SILENCE_S if answer.state is GenerationState.QUEUED else _RUNNING_SILENCE_S
