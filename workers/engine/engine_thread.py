"""The engine itself: one thread that steps a Hugging Face model for all requests.

One step = up to `prefill_chunk` prompt tokens, then one decode pass for all running rows. Requests join, leave and
are cancelled between two passes. The thread sleeps while there is nothing to do. All it shares with others is a list
of commands under one lock; what a step gave is handed on in one call.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch

from shared.errors import GenerationCrashed, GenerationError
from shared.telemetry import fields
from workers.engine import admission
from workers.engine.base import EngineStats, FinishReason, Logprobs, Request, TokenEvent
from workers.engine.drawing import draw_tokens
from workers.engine.engine_messages import Step
from workers.engine.facts import ModelFacts
from workers.engine.model_runner import ModelRunner
from workers.engine.sampling import Draw
from workers.engine.scheduler import PrefillChunk, Scheduler
from workers.engine.steering import Steering

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Sequence:
    request: Request
    tokens: list[int]  # prompt, then answer
    steering: Steering | None = None  # most requests have none

    @property
    def generated(self) -> int:
        return len(self.tokens) - len(self.request.prompt)

    @property
    def draw(self) -> Draw:
        request = self.request
        return Draw(request.temperature, request.top_p, request.top_k, request.seed, self.generated)


class EngineThread:
    """Starts at once; `close` ends it. Ids of requests that run at the same time must differ."""

    def __init__(
        self, runner: ModelRunner, facts: ModelFacts, *, slots: int, prefill_chunk: int, deliver: Callable[[Step], None]
    ) -> None:
        """`deliver` is called in the engine's thread, or in the caller's once the engine is closed."""
        self._runner = runner
        self._facts = facts
        self._deliver = deliver
        self._scheduler = Scheduler(slots, prefill_chunk)
        self._sequences: dict[str, _Sequence] = {}  # of the thread
        self._step_now = Step()
        self._wake = threading.Condition()
        self._arrived: dict[str, Request] = {}  # under _wake, like the next two
        self._cancelled: list[str] = []
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Its events come through `deliver`, the last one with a finish reason."""
        with self._wake:
            if not self._is_closing:
                self._arrived[request.id] = request
                self._wake.notify()
                return
        self._deliver(Step(events=[(request.id, TokenEvent(None, "cancelled"))]))

    def cancel(self, request_id: str) -> None:
        """It leaves after the current step. Unknown ids are ignored."""
        with self._wake:
            self._cancelled.append(request_id)
            self._wake.notify()

    def stats(self) -> EngineStats:
        waiting = self._scheduler.waiting + len(self._arrived)
        return EngineStats(self._scheduler.running, waiting, self._scheduler.slots)

    def close(self, timeout_s: float) -> None:
        """Ends after the current step; running requests end with "cancelled"."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        self._thread.join(timeout_s)

    # Everything below runs in the engine's thread.

    def _run(self) -> None:
        while self._take_commands():
            try:
                self._take_step()
            except Exception:  # a fault of ours ends the requests it may have damaged, never the worker
                log.exception("engine_step_failed")
                self._start_over()
            self._hand_on()
        for sequence in list(self._sequences.values()):
            self._end(sequence.request.id, TokenEvent(None, "cancelled"))
        self._hand_on()
        self._runner.cache.release()

    def _take_commands(self) -> bool:
        """Wait until there is work; take in what arrived and what was cancelled. False: the engine closes."""
        with self._wake:
            if not self._sequences:
                self._runner.cache.release()
            self._wake.wait_for(lambda: self._sequences or self._arrived or self._is_closing)
            arrived, self._arrived = self._arrived, {}
            cancelled, self._cancelled = self._cancelled, []
            is_closing = self._is_closing
        for request in arrived.values():
            self._begin(request)
        for request_id in cancelled:
            self._end(request_id, TokenEvent(None, "cancelled"))
        return not is_closing

    def _begin(self, request: Request) -> None:
        facts = self._facts
        try:
            admission.check(request, facts.vocabulary, facts.context_length)
            steering = Steering.of(request, facts.context_length)
        except Exception as cause:
            self._step_now.events.append((request.id, TokenEvent(None, "error", _told(request.id, cause))))
            return
        sequence = _Sequence(request, [*request.prompt, *request.generated], steering)
        if reason := self._reason(sequence, request.generated[-1] if request.generated else None):
            self._step_now.events.append((request.id, TokenEvent(None, reason)))
            return
        self._sequences[request.id] = sequence
        self._scheduler.add(request.id, len(sequence.tokens))

    def _reason(self, sequence: _Sequence, last: int | None) -> FinishReason | None:
        facts = self._facts
        return admission.ended(
            sequence.request,
            sequence.generated,
            last,
            facts.stop_ids,
            facts.context_length,
            is_complete=sequence.steering is not None and sequence.steering.is_complete,
        )

    def _take_step(self) -> None:
        budget = self._scheduler.prefill_chunk
        while chunk := self._scheduler.next_chunk(budget):
            budget -= chunk.stop - chunk.start
            self._prefill(chunk)
        if rows := self._scheduler.decoding():
            self._step_now.rows = len(rows)
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
        rows = [self._sequences[request_id] for request_id in request_ids]
        drawn = draw_tokens(
            logits, [row.draw for row in rows], [row.steering for row in rows], [row.request.logprobs for row in rows]
        )
        for row, (sequence, token) in enumerate(zip(rows, drawn.tokens, strict=True)):
            if row in drawn.failures:
                self._fail(sequence.request.id, drawn.failures[row])
            elif token is None:
                self._fail(sequence.request.id, ArithmeticError("the model's output is not finite"))
            else:
                self._take(sequence, token, drawn.logprobs.get(row))

    def _take(self, sequence: _Sequence, token: int, logprobs: Logprobs | None) -> None:
        """One more token of this answer."""
        sequence.tokens.append(token)
        request_id = sequence.request.id
        if sequence.steering is not None:
            try:
                sequence.steering.accept(token)
            except Exception as error:
                self._fail(request_id, error)
                return
        reason = self._reason(sequence, token)
        event = TokenEvent(token, reason, logprobs=logprobs)
        if reason:
            self._end(request_id, event)
        else:
            self._step_now.events.append((request_id, event))

    def _fail(self, request_id: str, cause: Exception) -> None:
        self._end(request_id, TokenEvent(None, "error", _told(request_id, cause)))

    def _end(self, request_id: str, event: TokenEvent) -> None:
        """The request leaves its row now. Does nothing if it has left already."""
        if self._sequences.pop(request_id, None) is None:
            return
        self._step_now.events.append((request_id, event))
        removal = self._scheduler.remove(request_id)
        for move in removal.moves:
            self._runner.cache.move(move.source, move.target)
        if removal.freed_row is not None:
            self._runner.cache.clear(removal.freed_row)

    def _start_over(self) -> None:
        self._step_now.events += [
            (request_id, TokenEvent(None, "error", GenerationCrashed())) for request_id in self._sequences
        ]
        self._sequences.clear()
        self._scheduler = Scheduler(self._scheduler.slots, self._scheduler.prefill_chunk)
        self._runner.cache.release()

    def _hand_on(self) -> None:
        if self._step_now.events:
            step, self._step_now = self._step_now, Step()
            self._deliver(step)


def _told(request_id: str, cause: Exception) -> GenerationError:
    """What the request's owner learns; the log learns all of it."""
    if isinstance(cause, GenerationError):
        log.info("request_refused", extra=fields(request_id=request_id, code=cause.code))
        return cause
    log.error("request_failed", exc_info=cause, extra=fields(request_id=request_id))
    error = GenerationCrashed()
    error.__cause__ = cause
    return error
