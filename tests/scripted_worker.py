"""A worker without a model: it claims, streams, checkpoints and finishes like a real one, saying what it is told.

`say(generation)` yields the answer in pieces and decides the pace. A piece of None loses the frame of the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from shared.broker.base import Broker, Delivery
from shared.chat import Generation, GenerationState
from shared.errors import GenerationCrashed, NunmalError
from shared.evidence import Evidence
from shared.ids import new_id
from shared.messages import (
    AdapterPublished,
    CancelGeneration,
    Control,
    Frame,
    GenerationChanged,
    TokensGenerated,
)
from shared.store import Store

Say = Callable[[Generation], AsyncIterator[str | None]]
_BEAT_S = 0.2


class Unsayable(Exception):
    """Raised by a script: this answer fails."""


@dataclass(eq=False)
class _Running:
    generation: Generation
    text: str
    nodes: set[str] = field(default_factory=set)
    is_cancelled: asyncio.Event = field(default_factory=asyncio.Event)


class ScriptedWorker:
    """`async with ScriptedWorker(store, broker, lane, say):` answers while open."""

    def __init__(self, store: Store, broker: Broker, lane: str, say: Say, slots: int = 8) -> None:
        self.id = new_id()
        self.sees = True  # what it tells of its model
        self.adapters: tuple[str, ...] = ()  # versions it answers with
        self.evidence: Callable[[Generation], Evidence | None] = lambda _: None  # of a finished answer
        self._store, self._broker, self._lane, self._say, self._slots = store, broker, lane, say, slots
        self._running: dict[str, _Running] = {}
        self._progress = asyncio.Condition()
        self._stored = 0  # characters of the longest checkpoint
        self._ended = 0

    async def has_stored(self, characters: int) -> None:
        """Return once the checkpoint of an answer has this many characters."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._stored >= characters)

    async def has_ended(self, answers: int = 1) -> None:
        """Return once this many answers are over."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._ended >= answers)

    async def __aenter__(self) -> ScriptedWorker:
        self._stack = contextlib.AsyncExitStack()
        await self._beat()
        await self._stack.enter_async_context(self._broker.consume_control(self.id, self._control))
        await self._stack.enter_async_context(self._broker.consume_permits(self._lane, self._slots, self._permit))
        self._heart = asyncio.create_task(self._keep_beating())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._heart.cancel()
        await asyncio.wait([self._heart])
        await self._stack.aclose()
        await self._store.workers.remove(self.id)

    async def _beat(self) -> None:
        await self._store.workers.beat(
            *(self.id, self._lane, "scripted", "0" * 8, self._slots, len(self._running)),
            sees=self.sees,
            adapters=self.adapters,
        )

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            await self._beat()

    async def _permit(self, delivery: Delivery) -> None:
        generation = await self._store.generations.claim(self._lane, self.id, adapters=self.adapters)
        if generation is not None:
            await self._answer(generation)
        await delivery.ack()

    async def _answer(self, generation: Generation) -> None:
        run = self._running[generation.id] = _Running(generation, generation.answer, set(generation.listeners))
        await self._tell(run, GenerationState.RUNNING)
        state, error = GenerationState.DONE, None
        try:
            await self._write(run)
        except Unsayable:
            state, error = GenerationState.FAILED, GenerationCrashed()
        finally:
            del self._running[generation.id]
        if run.is_cancelled.is_set():
            state = GenerationState.STOPPED
        await self._end(run, state, error)

    async def _write(self, run: _Running) -> None:
        generation, is_lost = run.generation, False
        async for piece in self._until_cancelled(run):
            if piece is None:
                is_lost = True
                continue
            offset, run.text = len(run.text), run.text + piece
            if not is_lost:
                await self._send(run, offset, piece, run.nodes)
            is_lost = False
            saved = await self._store.generations.checkpoint(
                generation.id, generation.attempt, range(len(run.text)), run.text, "0" * 8
            )
            async with self._progress:
                self._stored = max(self._stored, len(run.text))
                self._progress.notify_all()
            if saved.cancel_requested_at or not saved.is_current:
                run.is_cancelled.set()

    async def _until_cancelled(self, run: _Running) -> AsyncIterator[str | None]:
        pieces = self._say(run.generation)
        cancelled = asyncio.ensure_future(run.is_cancelled.wait())
        try:
            while True:
                piece = asyncio.ensure_future(anext(pieces, ...))
                await asyncio.wait((piece, cancelled), return_when=asyncio.FIRST_COMPLETED)
                if not piece.done() or run.is_cancelled.is_set():
                    piece.cancel()
                    await asyncio.wait((piece,))
                    return
                if (value := piece.result()) is ...:
                    return
                yield value
        finally:
            cancelled.cancel()

    async def _end(self, run: _Running, state: GenerationState, error: NunmalError | None) -> None:
        generation = run.generation
        await self._store.generations.finish(
            *(generation.id, generation.attempt, state, range(len(run.text)), run.text, error),
            evidence=self.evidence(generation),
        )
        await self._tell(run, state)
        async with self._progress:
            self._ended += 1
            self._progress.notify_all()

    async def _tell(self, run: _Running, state: GenerationState) -> None:
        changed = GenerationChanged(generation_id=run.generation.id, attempt=run.generation.attempt, state=state.value)
        for node_id in run.nodes:
            await self._broker.publish_to_node(node_id, changed)

    async def _send(self, run: _Running, offset: int, text: str, nodes: set[str]) -> None:
        frame = Frame(generation_id=run.generation.id, attempt=run.generation.attempt, offset=offset, text=text)
        for node_id in nodes:
            await self._broker.publish_to_node(node_id, TokensGenerated(worker_id=self.id, frames=(frame,)))

    async def _control(self, message: Control) -> None:
        if isinstance(message, AdapterPublished):
            return
        run = self._running.get(message.generation_id)
        if run is None:
            return
        if isinstance(message, CancelGeneration):
            run.is_cancelled.set()
            return
        run.nodes.add(message.node_id)
        await self._send(run, message.offset, run.text[message.offset :], {message.node_id})
