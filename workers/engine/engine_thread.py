"""The engine itself: one thread that steps a Hugging Face model for all requests.

One step = one forward pass: a token for every running answer, and pieces of prompts beside them (scheduler.py).
Requests join, leave and are cancelled between two steps. The thread sleeps while there is nothing to do. All it shares
with others is a list of commands under one lock; what a step gave is handed on in one call.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from shared.adapters.base import BaseDescription
from shared.errors import AdapterRefused, GenerationCrashed, GenerationError, NunmalError
from shared.telemetry import fields
from vision.decoder import EYES_ADAPTER
from workers.engine import admission
from workers.engine.adapters.adapter_files import AdapterFiles
from workers.engine.adapters.own_adapter import OwnAdapter
from workers.engine.adapters.served_adapters import PreparedAdapter, ServedAdapters
from workers.engine.adapters.versions import AdapterVersions
from workers.engine.base import EngineStats, FinishReason, Logprobs, Request, TokenEvent
from workers.engine.block_pool import BlockPool
from workers.engine.drawing import draw_tokens
from workers.engine.engine_messages import LoadAdapter, Step, UnloadAdapter
from workers.engine.facts import AdapterFacts, ModelFacts
from workers.engine.model_runner import BLOCK_SIZE, ModelRunner, rounded
from workers.engine.pace import Pace
from workers.engine.sampling import Draw
from workers.engine.scheduler import Piece, Scheduler
from workers.engine.steering import Steering
from workers.engine.visual_slots import with_slots

log = logging.getLogger(__name__)

R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Sequence:
    request: Request
    tokens: list[int]  # prompt, then answer
    steering: Steering | None = None  # most requests have none
    adapter: str | None = None  # the version it runs with
    view: str | None = None  # the same, if its projector shows pictures otherwise
    words: int | None = None  # it may say tokens below this; None: all
    slots: list[range] = field(default_factory=list)  # of the pictures that were looked at

    @property
    def generated(self) -> int:
        return len(self.tokens) - len(self.request.prompt)

    @property
    def draw(self) -> Draw:
        return Draw.of(self.request, self.generated)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What a LoadAdapter came to."""

    key: str
    name: str
    adapter: PreparedAdapter | AdapterFiles | NunmalError  # files: what is left needs the model's thread


class EngineThread:
    """Starts at once; `close` ends it. Ids of requests that run at the same time must differ."""

    def __init__(
        self,
        runner: ModelRunner,
        facts: ModelFacts,
        *,
        slots: int,
        prefill_chunk: int,
        deliver: Callable[[Step], None],
        died: Callable[[], None],
        own_adapter: OwnAdapter | None = None,
    ) -> None:
        """`deliver` is called in the engine's thread, or in the caller's once the engine is closed. `died` is called in
        the thread if it ends although nobody closed it. `own_adapter` is for requests with pictures that name no
        other. Raises ModelError: it does not fit."""
        self._runner = runner
        self._died = died
        self._served = ServedAdapters(runner.model, facts.digest, facts.numerics)
        self._adapters = AdapterVersions(self._served)
        self._own = own_adapter
        if own_adapter is not None:
            self._adapters.take(own_adapter.prepare(self._served))
        self._facts = facts
        self._deliver = deliver
        self._pace = Pace(prefill_chunk)
        self._scheduler = Scheduler(BlockPool(runner.cache.blocks, BLOCK_SIZE), slots)
        self._sequences: dict[str, _Sequence] = {}  # of the thread
        self._looking: deque[_Sequence] = deque()  # of these, whose pictures were not all looked at
        self._step_now = Step()
        self._wake = threading.Condition()
        self._arrived: dict[str, Request] = {}  # under _wake, like the next three
        self._cancelled: list[str] = []
        self._asked: list[UnloadAdapter | _Prepared] = []
        self._is_closing = False
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="adapter")
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

    @property
    def base(self) -> BaseDescription:
        """What adapters must fit."""
        return self._served.base

    def ask(self, message: LoadAdapter | UnloadAdapter) -> None:
        """Done between two steps; what takes long is done before, beside them. The answer comes through `deliver`."""
        if isinstance(message, LoadAdapter):
            self._preparing.submit(self._prepare, message)
        else:
            self._add_asked(message)

    def _add_asked(self, asked: UnloadAdapter | _Prepared) -> None:
        with self._wake:
            self._asked.append(asked)
            self._wake.notify()

    def _prepare(self, message: LoadAdapter) -> None:
        """In a thread of its own, one adapter after another."""
        self._add_asked(_Prepared(message.key, message.name, _refused_or(message.name, lambda: self._read(message))))

    def _read(self, message: LoadAdapter) -> PreparedAdapter | AdapterFiles:
        files = self._served.read(message.name, message.directory)
        return files if files.manifest.method == "dora" else self._served.prepare(message.name, files)

    def stats(self) -> EngineStats:
        scheduler = self._scheduler
        return EngineStats(
            scheduler.running,
            scheduler.waiting + len(self._arrived),
            scheduler.slots,
            scheduler.pool.count,
            scheduler.pool.held,
            scheduler.preemptions,
            scheduler.prompt_tokens,
            scheduler.shared_tokens,
        )

    def close(self, timeout_s: float) -> None:
        """Ends after the current step; running requests end with "cancelled"."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        self._preparing.shutdown(wait=False, cancel_futures=True)
        self._thread.join(timeout_s)

    # Everything below runs in the engine's thread.

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException:
            log.exception("engine_thread_died")
            self._died()

    def _serve(self) -> None:
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

    def _take_commands(self) -> bool:
        """Wait until there is work; take in what arrived and what was cancelled. False: the engine closes."""
        with self._wake:
            self._wake.wait_for(lambda: self._sequences or self._arrived or self._asked or self._is_closing)
            arrived, self._arrived = self._arrived, {}
            cancelled, self._cancelled = self._cancelled, []
            asked, self._asked = self._asked, []
            is_closing = self._is_closing
        for message in asked:
            self._step_now.answers.append((message.key, self._answer(message)))
        for request in arrived.values():
            self._begin(request)
        for request_id in cancelled:
            self._end(request_id, TokenEvent(None, "cancelled"))
        return not is_closing

    def _answer(self, asked: UnloadAdapter | _Prepared) -> AdapterFacts | NunmalError | None:
        if isinstance(asked, UnloadAdapter):
            try:
                self._adapters.unload(asked.name)
            except NunmalError as error:
                return error
            return None
        adapter = asked.adapter
        if isinstance(adapter, AdapterFiles):
            files = adapter
            adapter = _refused_or(asked.name, lambda: self._served.prepare(asked.name, files))
        if isinstance(adapter, PreparedAdapter):
            self._adapters.take(adapter)
            return adapter.facts
        return adapter

    def _begin(self, request: Request) -> None:
        facts = self._facts
        try:
            admission.check(request, facts.vocabulary, facts.context_length, facts.pictures)
            steering = Steering.of(request, facts.context_length)
            own = self._own if request.pictures and request.adapter is None else None
            name = request.adapter if own is None else EYES_ADAPTER
            adapter = None if name is None else self._adapters.hold(name)
        except Exception as cause:
            self._step_now.events.append((request.id, TokenEvent(None, "error", _told(request.id, cause))))
            return
        view = adapter if adapter is not None and self._served.sees(adapter) else None
        words = self._own.tokens_from if self._own is not None and own is None else None
        sequence = _Sequence(request, [*request.prompt, *request.generated], steering, adapter, view, words)
        if reason := self._reason(sequence, request.generated[-1] if request.generated else None):
            self._step_now.events.append((request.id, TokenEvent(None, reason)))
            self._let_go(sequence)
            return
        self._sequences[request.id] = sequence
        if request.pictures:
            self._looking.append(sequence)
        else:
            self._add(sequence)

    def _add(self, sequence: _Sequence) -> None:
        root = None if sequence.adapter is None else self._adapters.digest(sequence.adapter)
        self._scheduler.add(sequence.request.id, sequence.tokens, root)

    def _look(self) -> None:
        """At one picture, so that running answers wait for no more than one between two steps."""
        sequence = self._looking[0]
        request, eyes = sequence.request, self._facts.pictures
        assert eyes is not None  # else it would not have been let in
        try:
            self._served.begin(((sequence.view, eyes.tokens),))
            sequence.slots.append(self._runner.slots.hold(request.pictures[len(sequence.slots)], sequence.view))
        except Exception as error:
            self._fail(request.id, error)
            return
        if len(sequence.slots) == len(request.pictures):
            self._looking.popleft()
            sequence.tokens[: len(request.prompt)] = with_slots(request.prompt, eyes.placeholder, sequence.slots)
            self._add(sequence)

    def _let_go(self, sequence: _Sequence) -> None:
        if sequence.adapter is not None:
            self._adapters.release(sequence.adapter)
        if sequence in self._looking:
            self._looking.remove(sequence)
        for picture, _ in zip(sequence.request.pictures, sequence.slots, strict=False):
            self._runner.slots.release(picture, sequence.view)

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
        if self._looking:
            self._look()
        scheduler, began = self._scheduler, time.perf_counter()
        pieces = scheduler.plan(self._pace.budget(scheduler.decoding, scheduler.joining))
        pieces.sort(
            key=lambda piece: self._sequences[piece.request_id].adapter or ""
        )  # one adapter's rows lie together
        if not pieces:  # everybody was cancelled
            return
        reading = sum(piece.stop - piece.start for piece in pieces if not piece.is_decoding)
        rows = sum(piece.is_decoding for piece in pieces)
        try:
            logits = self._forward(pieces)
        except Exception as error:
            log.warning("step_failed", exc_info=True, extra=fields(pieces=len(pieces)))
            if not (_is_out_of_memory(error) and self._shed(pieces)):
                self._compute_one_by_one(pieces)
            return
        self._computed(pieces, logits)
        self._step_now.rows = rows
        self._step_now.tokens.append(reading + rows)
        self._pace.took(time.perf_counter() - began, rows, reading)

    def _shed(self, pieces: Sequence[Piece]) -> bool:
        """Fewer at a time from now on; False if there is nothing to take away."""
        is_shorter = any(not piece.is_decoding for piece in pieces) and self._pace.shrink()
        if len(pieces) == 1:
            return is_shorter
        log.warning("load_shed", extra=fields(running=self._scheduler.shed()))
        return True

    def _forward(self, pieces: Sequence[Piece]) -> torch.Tensor:
        sequences = [self._sequences[piece.request_id] for piece in pieces]
        lengths = [piece.stop - piece.start for piece in pieces]
        spans = [(sequence.adapter, length) for sequence, length in zip(sequences, lengths, strict=True)]
        self._served.begin([*spans, (None, rounded(sum(lengths)) - sum(lengths))])
        tokens = [sequence.tokens[piece.start : piece.stop] for sequence, piece in zip(sequences, pieces, strict=True)]
        return self._runner.forward(pieces, tokens)

    def _computed(self, pieces: Sequence[Piece], logits: torch.Tensor) -> None:
        self._scheduler.advance(pieces)
        if ready := tuple(piece.request_id for piece in pieces if piece.is_last):
            self._accept(ready, logits)

    def _compute_one_by_one(self, pieces: Sequence[Piece]) -> None:
        """The pass failed: each piece again alone, so that only those to blame fail."""
        for piece in pieces:
            try:
                logits = self._forward((piece,))
            except Exception as error:
                self._fail(piece.request_id, error)
            else:
                self._computed((piece,), logits)

    def _accept(self, request_ids: tuple[str, ...], logits: torch.Tensor) -> None:
        """Draw a token for each of these requests from its row of `logits`, and end those that are complete."""
        rows = [self._sequences[request_id] for request_id in request_ids]
        with torch.inference_mode():
            for row, sequence in enumerate(rows):
                if sequence.words is not None:
                    logits[row, sequence.words :] = float("-inf")
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
        """The request leaves its blocks now. Does nothing if it has left already."""
        sequence = self._sequences.pop(request_id, None)
        if sequence is None:
            return
        self._let_go(sequence)
        self._step_now.events.append((request_id, event))
        self._scheduler.remove(request_id, is_sound=event.finish_reason != "error")

    def _start_over(self) -> None:
        self._step_now.events += [
            (request_id, TokenEvent(None, "error", GenerationCrashed())) for request_id in self._sequences
        ]
        for sequence in self._sequences.values():
            self._let_go(sequence)
        self._sequences.clear()
        self._scheduler = Scheduler(BlockPool(self._runner.cache.blocks, BLOCK_SIZE), self._scheduler.slots)

    def _hand_on(self) -> None:
        if self._step_now.events or self._step_now.answers:
            step, self._step_now = self._step_now, Step()
            step.stats = self.stats()
            self._deliver(step)


def _refused_or(name: str, made: Callable[[], R]) -> R | NunmalError:
    try:
        return made()
    except NunmalError as error:
        return error
    except Exception as error:
        log.exception("adapter_failed")
        return AdapterRefused(adapter=name, reason=str(error))


def _told(request_id: str, cause: Exception) -> GenerationError:
    """What the request's owner learns; the log learns all of it."""
    if isinstance(cause, GenerationError):
        log.info("request_refused", extra=fields(request_id=request_id, code=cause.code))
        return cause
    log.error("request_failed", exc_info=cause, extra=fields(request_id=request_id))
    error = GenerationCrashed()
    error.__cause__ = cause
    return error


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in str(error)
