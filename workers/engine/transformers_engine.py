"""The engine in this process: its thread, and an event loop that takes what each step gave in one call."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from shared.errors import EngineLost
from workers.engine.adapters.own_adapter import OwnAdapter
from workers.engine.base import EngineStats, Request, TokenEvent
from workers.engine.engine_messages import Asked, Look, Step
from workers.engine.engine_thread import EngineThread
from workers.engine.event_stream import EventStream
from workers.engine.facts import ModelFacts
from workers.engine.looking import Looker, answer_to
from workers.engine.model_runner import ModelRunner
from workers.engine.streaming_engine import OnStep, StreamingEngine

_CLOSE_TIMEOUT_S = 30.0


class TransformersEngine(StreamingEngine):
    """Starts its thread at once; `close` ends it."""

    def __init__(
        self,
        runner: ModelRunner,
        facts: ModelFacts,
        *,
        slots: int,
        prefill_chunk: int,
        looker: Looker | None = None,
        own_adapter: OwnAdapter | None = None,
        on_step: OnStep = lambda step: None,
    ) -> None:
        """`looker`: of a model with eyes; `own_adapter`: in its folder. Raises ModelError: that does not fit.

        `on_step` is called after every step that ended or continued an answer."""
        super().__init__(facts)
        self._looker = looker
        self._on_step = on_step
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = EngineThread(
            runner,
            facts,
            slots=slots,
            prefill_chunk=prefill_chunk,
            deliver=self._deliver,
            died=self._died,
            own_adapter=own_adapter,
        )
        self.base = self._thread.base

    def submit(self, request: Request) -> EventStream:
        self._loop = asyncio.get_running_loop()
        return super().submit(request)

    def stats(self) -> EngineStats:
        return replace(self._thread.stats(), adapters=frozenset(self._named.values()))

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.close, _CLOSE_TIMEOUT_S)

    def _send(self, request: Request) -> None:
        if self.lost.is_set():
            self._receive([(request.id, TokenEvent(None, "error", EngineLost()))])
        else:
            self._thread.submit(request)

    def _send_cancel(self, request_id: str) -> None:
        self._thread.cancel(request_id)

    def _send_asked(self, message: Asked) -> None:
        self._loop = asyncio.get_running_loop()
        if isinstance(message, Look):
            looking = self._loop.run_in_executor(None, answer_to, self._looker, message)
            looking.add_done_callback(lambda done: self._receive_answer(message.key, done.result()))
        else:
            self._thread.ask(message)

    def _died(self) -> None:
        """In the engine's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._lose)

    def _lose(self) -> None:
        self.lost.set()
        self._end_all(TokenEvent(None, "error", EngineLost()))

    def _deliver(self, step: Step) -> None:
        """In the engine's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take, step)

    def _take(self, step: Step) -> None:
        if step.stats is not None:
            self._on_step(step)
        self._receive(step.events)
        for key, answer in step.answers:
            self._receive_answer(key, answer)
