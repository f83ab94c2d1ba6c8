"""The engine: one thread that steps a Hugging Face model for all requests, and an asyncio face.

One step = up to `prefill_chunk` prompt tokens, then one decode pass for all running rows. Requests join, leave and
are cancelled between two passes. The thread sleeps while there is nothing to do. All it shares with the event loop is
a list of commands under one lock; events go back in one call per step.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from shared.errors import GenerationCrashed, GenerationError
from shared.telemetry import fields
from workers.engine import admission
from workers.engine.base import EngineStats, FinishReason, Request, TokenEvent
from workers.engine.event_stream import EventStream
from workers.engine.model_runner import ModelRunner
from workers.engine.sampling import Draw, choose
from workers.engine.scheduler import PrefillChunk, Scheduler

log = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 30.0


@dataclass(slots=True)
class _Sequence:
    request: Request
    stream: EventStream
    tokens: list[int] = field(default_factory=list)  # prompt, then answer

    @property
    def generated(self) -> int:
        return len(self.tokens) - len(self.request.prompt)

    @property
    def draw(self) -> Draw:
        request = self.request
        return Draw(request.temperature, request.top_p, request.top_k, request.seed, self.generated)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the engine must know of a model besides its weights."""

    digest: str
    vocabulary: int
    context_length: int
    stop_ids: frozenset[int]


class TransformersEngine:
    """Implements workers.engine.base.Engine. Starts its thread at once; `close` ends it."""

    def __init__(
        self,
        runner: ModelRunner,
        facts: ModelFacts,
        *,
        slots: int,
        prefill_chunk: int,
        on_step: Callable[[int], None] = lambda rows: None,
    ) -> None:
        """`on_step` is called in the engine's thread with the number of rows of every decode pass."""
        self._runner = runner
        self._facts = facts
        self._on_step = on_step
        self._scheduler = Scheduler(slots, prefill_chunk)
        self._sequences: dict[str, _Sequence] = {}  # of the thread
        self._events: dict[EventStream, list[TokenEvent]] = defaultdict(list)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = threading.Condition()
        self._arrived: dict[str, _Sequence] = {}  # under _wake, like the next two
        self._cancelled: list[_Sequence] = []
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def model_digest(self) -> str:
        return self._facts.digest

    @property
    def context_length(self) -> int:
        return self._facts.context_length

    def submit(self, request: Request) -> EventStream:
        """Call it on the event loop that reads the events; the same one every time."""
        self._loop = asyncio.get_running_loop()
        stream = EventStream(on_close=lambda: self._cancel(sequence))
        sequence = _Sequence(request, stream, [*request.prompt, *request.generated])
        try:
            admission.check(request, self._facts.vocabulary, self._facts.context_length)
        except GenerationError as error:
            stream.put([TokenEvent(None, "error", error)])
            return stream
        last = request.generated[-1] if request.generated else None
        if reason := self._reason(sequence, last):
            stream.put([TokenEvent(None, reason)])
            return stream
        with self._wake:
            if request.id in self._arrived or request.id in self._sequences:
                stream.put([TokenEvent(None, "error", GenerationError("a request with this id is running"))])
            elif self._is_closing:
                stream.put([TokenEvent(None, "cancelled")])
            else:
                self._arrived[request.id] = sequence
                self._wake.notify()
        return stream

    def cancel(self, request_id: str) -> None:
        if sequence := self._arrived.get(request_id) or self._sequences.get(request_id):
            self._cancel(sequence)

    def _cancel(self, sequence: _Sequence) -> None:
        with self._wake:
            self._cancelled.append(sequence)
            self._wake.notify()

    def _reason(self, sequence: _Sequence, last: int | None) -> FinishReason | None:
        facts = self._facts
        return admission.ended(sequence.request, sequence.generated, last, facts.stop_ids, facts.context_length)

    def stats(self) -> EngineStats:
        waiting = self._scheduler.waiting + len(self._arrived)
        return EngineStats(self._scheduler.running, waiting, self._scheduler.slots)

    async def close(self) -> None:
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join, _CLOSE_TIMEOUT_S)

    # Everything below runs in the engine's thread.

    def _run(self) -> None:
        while self._take_commands():
            try:
                self._step()
            except Exception:  # a fault of ours ends the requests it may have damaged, never the worker
                log.exception("engine_step_failed")
                self._start_over()
            self._deliver()
        for sequence in list(self._sequences.values()):
            self._end(sequence, TokenEvent(None, "cancelled"))
        self._deliver()
        self._runner.cache.release()

    def _take_commands(self) -> bool:
        """Wait until there is work; take in what arrived and what was cancelled. False: the engine closes."""
        with self._wake:
            if not self._sequences:
                self._runner.cache.release()
            self._wake.wait_for(lambda: self._sequences or self._arrived or self._is_closing)
            arrived, self._arrived = self._arrived, {}
            cancelled, self._cancelled = self._cancelled, []
            self._sequences.update(arrived)
            is_closing = self._is_closing
        for request_id, sequence in arrived.items():
            self._scheduler.add(request_id, len(sequence.tokens))
        for sequence in cancelled:
            self._end(sequence, TokenEvent(None, "cancelled"))
        return not is_closing

    def _step(self) -> None:
        budget = self._scheduler.prefill_chunk
        while chunk := self._scheduler.next_chunk(budget):
            budget -= chunk.stop - chunk.start
            self._prefill(chunk)
        if rows := self._scheduler.decoding():
            self._on_step(len(rows))
            self._decode(rows)

    def _prefill(self, chunk: PrefillChunk) -> None:
        sequence = self._sequences[chunk.request_id]
        try:
            logits = self._runner.prefill(chunk.row, chunk.start, sequence.tokens[chunk.start : chunk.stop])
        except Exception as error:
            self._fail(chunk.request_id, error)
            return
        self._scheduler.advance(chunk)
        if chunk.is_last:
            self._accept((chunk.request_id,), logits)

    def _decode(self, rows: tuple[str, ...]) -> None:
        pending = [self._sequences[request_id].tokens for request_id in rows]
        try:
            logits = self._runner.decode(0, [tokens[-1] for tokens in pending], [len(tokens) - 1 for tokens in pending])
        except Exception:
            log.warning("decode_failed", exc_info=True, extra=fields(rows=len(rows)))
            self._decode_one_by_one(rows)
        else:
            self._accept(rows, logits)

    def _decode_one_by_one(self, rows: tuple[str, ...]) -> None:
        """The pass failed: each row again alone, so that only those to blame fail."""
        logits: dict[str, torch.Tensor] = {}
        failures: dict[str, Exception] = {}
        for row, request_id in enumerate(rows):
            tokens = self._sequences[request_id].tokens
            try:
                logits[request_id] = self._runner.decode(row, [tokens[-1]], [len(tokens) - 1])
            except Exception as error:
                failures[request_id] = error
        for request_id, cause in failures.items():
            self._fail(request_id, cause)
        if logits:
            self._accept(tuple(logits), torch.cat(tuple(logits.values())))

    def _accept(self, request_ids: tuple[str, ...], logits: torch.Tensor) -> None:
        """Draw a token for each of these requests from its row of `logits`, and end those that are complete."""
        tokens = choose(logits, [self._sequences[request_id].draw for request_id in request_ids])
        for request_id, token in zip(request_ids, tokens, strict=True):
            sequence = self._sequences[request_id]
            if token is None:
                self._fail(request_id, ArithmeticError("the model's output is not finite"))
                continue
            sequence.tokens.append(token)
            reason = self._reason(sequence, token)
            event = TokenEvent(token, reason)
            if reason:
                self._end(sequence, event)
            else:
                self._events[sequence.stream].append(event)

    def _fail(self, request_id: str, cause: Exception) -> None:
        log.error("request_failed", exc_info=cause, extra=fields(request_id=request_id))
        error = GenerationCrashed()
        error.__cause__ = cause
        self._end(self._sequences[request_id], TokenEvent(None, "error", error))

    def _end(self, sequence: _Sequence, event: TokenEvent) -> None:
        """The request leaves its row now. Does nothing if it has left already."""
        request_id = sequence.request.id
        if self._sequences.get(request_id) is not sequence:
            return
        del self._sequences[request_id]
        self._events[sequence.stream].append(event)
        removal = self._scheduler.remove(request_id)
        for move in removal.moves:
            self._runner.cache.move(move.source, move.target)
        if removal.freed_row is not None:
            self._runner.cache.clear(removal.freed_row)

    def _start_over(self) -> None:
        for sequence in self._sequences.values():
            self._events[sequence.stream].append(TokenEvent(None, "error", GenerationCrashed()))
        self._sequences.clear()
        self._scheduler = Scheduler(self._scheduler.slots, self._scheduler.prefill_chunk)
        self._runner.cache.release()

    def _deliver(self) -> None:
        """Hand this step's events to the event loop in one call."""
        if not self._events or self._loop is None:
            return
        events, self._events = self._events, defaultdict(list)
        try:
            self._loop.call_soon_threadsafe(_put, events)
        except RuntimeError:  # the loop is closed, so nobody listens any more
            self._is_closing = True


def _put(events: dict[EventStream, list[TokenEvent]]) -> None:
    for stream, new in events.items():
        stream.put(new)
