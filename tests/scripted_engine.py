"""A small honest engine for tests: no model, tokens by a rule, the same contract (tests/contract/test_engine.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shared.errors import GenerationError
from workers.engine import admission
from workers.engine.base import EngineStats, FinishReason, Request, TokenEvent
from workers.engine.event_stream import EventStream

Rule = Callable[[Request, int], int]


def count_up(request: Request, index: int) -> int:
    """Token ids that tell prompt and place: never a stop id as long as answers are short."""
    return 10 + (sum(request.prompt) + request.seed + index) % 80


class ScriptedEngine:
    """Implements workers.engine.base.Engine. One token per request and turn of the event loop.

    `pause` and `resume` hold back and let go the next tokens, so that a test can act in mid-answer.
    """

    def __init__(
        self,
        rule: Rule = count_up,
        *,
        slots: int = 4,
        vocabulary: int = 100,
        context_length: int = 64,
        stop_ids: frozenset[int] = frozenset({1}),
        model_digest: str = "scripted",
    ) -> None:
        self.model_digest = model_digest
        self.context_length = context_length
        self._rule = rule
        self._slots = slots
        self._vocabulary = vocabulary
        self._stop_ids = stop_ids
        self._waiting: dict[str, tuple[Request, EventStream]] = {}
        self._running: dict[str, tuple[Request, EventStream, list[int]]] = {}
        self._go = asyncio.Event()
        self._go.set()
        self._has_work = asyncio.Event()
        self._stepping: asyncio.Task[None] | None = None
        self._is_closed = False
        self.requests: list[Request] = []  # all that were submitted, for assertions

    def submit(self, request: Request) -> EventStream:
        stream = EventStream(on_close=lambda: self.cancel(request.id))
        self.requests.append(request)
        last = request.generated[-1] if request.generated else None
        try:
            if request.id in self._waiting or request.id in self._running:
                raise GenerationError("a request with this id is running")
            admission.check(request, self._vocabulary, self.context_length)
        except GenerationError as error:
            stream.put([TokenEvent(None, "error", error)])
            return stream
        reason = self._reason(request, len(request.generated), last)
        if reason or self._is_closed:
            stream.put([TokenEvent(None, reason or "cancelled")])
            return stream
        self._waiting[request.id] = (request, stream)
        self._has_work.set()
        if self._stepping is None:
            self._stepping = asyncio.create_task(self._step_forever())
        return stream

    def cancel(self, request_id: str) -> None:
        for held in (self._waiting.pop(request_id, None), self._running.pop(request_id, None)):
            if held is not None:
                held[1].put([TokenEvent(None, "cancelled")])

    def pause(self) -> None:
        self._go.clear()

    def resume(self) -> None:
        self._go.set()

    def stats(self) -> EngineStats:
        return EngineStats(len(self._running), len(self._waiting), self._slots)

    async def close(self) -> None:
        self._is_closed = True
        for request_id in [*self._waiting, *self._running]:
            self.cancel(request_id)
        if self._stepping is not None:
            self._stepping.cancel()
            await asyncio.wait([self._stepping])

    def _reason(self, request: Request, generated: int, last: int | None) -> FinishReason | None:
        return admission.ended(request, generated, last, self._stop_ids, self.context_length)

    async def _step_forever(self) -> None:
        while True:
            await self._go.wait()
            if not (self._waiting or self._running):
                self._has_work.clear()
                await self._has_work.wait()
            while self._waiting and len(self._running) < self._slots:
                request_id = next(iter(self._waiting))
                request, stream = self._waiting.pop(request_id)
                self._running[request_id] = (request, stream, list(request.generated))
            for request, stream, generated in list(self._running.values()):
                generated.append(self._rule(request, len(generated)))
                reason = self._reason(request, len(generated), generated[-1])
                if reason:
                    del self._running[request.id]
                stream.put([TokenEvent(generated[-1], reason)])
            await asyncio.sleep(0)
