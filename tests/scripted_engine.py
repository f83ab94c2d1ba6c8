"""A small honest engine for tests: no model, tokens by a rule, the same contract (tests/contract/test_engine.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.adapters.base import BaseDescription
from shared.errors import AdapterRefused, AdapterUnknown, EngineLost, GenerationError, NunmalError
from workers.engine import admission
from workers.engine.base import EngineStats, FinishReason, Logprobs, Request, TokenEvent
from workers.engine.event_stream import EventStream
from workers.engine.facts import AdapterFacts, PictureFacts
from workers.engine.steering import Steering

Rule = Callable[[Request, int], int]


def count_up(request: Request, index: int) -> int:
    """Token ids that tell prompt and place: never a stop id as long as answers are short."""
    return 10 + (sum(request.prompt) + request.seed + index) % 80


@dataclass(slots=True)
class _Running:
    request: Request
    stream: EventStream
    tokens: list[int]
    steering: Steering | None

    @property
    def is_complete(self) -> bool:
        return self.steering is not None and self.steering.is_complete


class ScriptedEngine:
    """Implements workers.engine.base.Engine. One token per request and turn of the event loop: the rule's, or the first
    that a grammar allows; its probability is 1. Penalties change nothing, for there is nothing to take them off.

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
        eyes: PictureFacts | None = None,
    ) -> None:
        self.model_digest = model_digest
        self.context_length = context_length
        self.lost = asyncio.Event()
        self.base: BaseDescription | None = None
        self._rule = rule
        self._eyes = eyes
        self._slots = slots
        self._vocabulary = vocabulary
        self._stop_ids = stop_ids
        self._waiting: dict[str, _Running] = {}
        self._running: dict[str, _Running] = {}
        self._go = asyncio.Event()
        self._go.set()
        self._has_work = asyncio.Event()
        self._stepping: asyncio.Task[None] | None = None
        self._is_closed = self._is_draining = False
        self._adapters: dict[str, AdapterFacts] = {}
        self.requests: list[Request] = []  # all that were submitted, for assertions

    def submit(self, request: Request) -> EventStream:
        stream = EventStream(on_close=lambda: self.cancel(request.id))
        self.requests.append(request)
        try:
            if request.id in self._waiting or request.id in self._running:
                raise GenerationError("a request with this id is running")
            if request.adapter is not None and request.adapter not in self._adapters:
                raise AdapterUnknown(adapter=request.adapter)
            admission.check(request, self._vocabulary, self.context_length, self._eyes)
            steering = Steering.of(request, self.context_length)
        except NunmalError as error:
            stream.put([TokenEvent(None, "error", error)])
            return stream
        running = _Running(request, stream, list(request.generated), steering)
        reason = self._reason(running)
        if reason or self._is_closed or self._is_draining:
            stream.put([TokenEvent(None, reason or "cancelled")])
            return stream
        self._waiting[request.id] = running
        self._has_work.set()
        if self._stepping is None:
            self._stepping = asyncio.create_task(self._step_forever())
        return stream

    def cancel(self, request_id: str) -> None:
        for held in (self._waiting.pop(request_id, None), self._running.pop(request_id, None)):
            if held is not None:
                held.stream.put([TokenEvent(None, "cancelled")])

    def pause(self) -> None:
        self._go.clear()

    def resume(self) -> None:
        self._go.set()

    def lose(self) -> None:
        """As if its process had been killed."""
        self.lost.set()
        for held in [*self._waiting.values(), *self._running.values()]:
            held.stream.put([TokenEvent(None, "error", EngineLost())])
        self._waiting.clear()
        self._running.clear()

    def stats(self) -> EngineStats:
        return EngineStats(len(self._running), len(self._waiting), self._slots)

    def adapters(self) -> tuple[AdapterFacts, ...]:
        return tuple(self._adapters.values())

    async def load_adapter(self, name: str, directory: Path) -> AdapterFacts:
        if not (directory / "adapter_config.json").is_file():
            raise AdapterRefused(adapter=name, reason="it has no adapter_config.json")
        self._adapters[name] = AdapterFacts(name, f"digest of {directory.name}", 8, False, "scripted", "none", 0)
        return self._adapters[name]

    async def unload_adapter(self, name: str) -> None:
        if name not in self._adapters:
            raise AdapterUnknown(adapter=name)
        del self._adapters[name]

    async def drain(self) -> None:
        self._is_draining = True
        while self._running or self._waiting:  # noqa: ASYNC110  # its steps are turns of the loop
            await asyncio.sleep(0)

    async def close(self) -> None:
        self._is_closed = True
        for request_id in [*self._waiting, *self._running]:
            self.cancel(request_id)
        if self._stepping is not None:
            self._stepping.cancel()
            await asyncio.wait([self._stepping])

    def _reason(self, running: _Running) -> FinishReason | None:
        last = running.tokens[-1] if running.tokens else None
        return admission.ended(
            running.request,
            len(running.tokens),
            last,
            self._stop_ids,
            self.context_length,
            is_complete=running.is_complete,
        )

    def _next(self, running: _Running) -> TokenEvent:
        token = self._rule(running.request, len(running.tokens))
        try:
            mask = running.steering.allowed() if running.steering else None
            if mask is not None and not mask[token]:
                token = int(mask.argmax())
            if running.steering:
                token = running.steering.settle(token)
                running.steering.accept(token)
        except GenerationError as error:
            return TokenEvent(None, "error", error)
        running.tokens.append(token)
        asked = running.request.logprobs
        logprobs = None if asked is None else Logprobs(0.0, ((token, 0.0),)[:asked])
        return TokenEvent(token, self._reason(running), logprobs=logprobs)

    async def _step_forever(self) -> None:
        while True:
            await self._go.wait()
            if not (self._waiting or self._running):
                self._has_work.clear()
                await self._has_work.wait()
            while self._waiting and len(self._running) < self._slots:
                request_id = next(iter(self._waiting))
                self._running[request_id] = self._waiting.pop(request_id)
            for running in list(self._running.values()):
                event = self._next(running)
                if event.finish_reason:
                    del self._running[running.request.id]
                running.stream.put([event])
            await asyncio.sleep(0)
