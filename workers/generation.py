"""One answer, from its claim to its end: prompt, tokens, text, checkpoints.

Writes go through the store's fence (generation, attempt). A store or broker that is away never stops the tokens; it
only delays checkpoints and the final write, which is tried until it succeeds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from shared.chat import Generation, GenerationState, TokenLogprob
from shared.errors import (
    DeadlineExceeded,
    EngineLost,
    GenerationCrashed,
    NunmalError,
    StoreUnavailable,
    TooManyAttempts,
)
from shared.evidence import Evidence
from shared.store import Store
from shared.store.generations import CheckpointResult
from shared.telemetry import fields
from workers.answer_metrics import AnswerMetrics, reason_of
from workers.answer_trace import AttemptEnd, trace_attempt
from workers.detokenizer import Detokenizer
from workers.engine.base import Request, TokenEvent, TokenStream
from workers.patience import patiently
from workers.pictures import PictureCache, ShownPicture
from workers.prompt import Prompts
from workers.publisher import AnswerStream, Publisher
from workers.served_model import ServedModel

log = logging.getLogger(__name__)

MOST_STALLED_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended."""

    state: GenerationState  # QUEUED: given back, another worker continues
    error: NunmalError | None = None
    finish_reason: str | None = None  # of a done answer: "stop" or "length"


class RunningGeneration:
    """Belongs to one claim. Its coroutines, cancelled from outside, write nothing more."""

    def __init__(
        self,
        claimed: Generation,
        model: ServedModel,
        store: Store,
        publisher: Publisher,
        pictures: PictureCache,
        *,
        checkpoint_s: float,
        deadline_s: float,
    ) -> None:
        """`checkpoint_s`: seconds between two checkpoints. `deadline_s`: longest time for this attempt."""
        self.claimed = claimed
        self._model = model
        self._store = store
        self._publisher = publisher
        self._pictures = pictures
        self._shown: list[ShownPicture] = []  # in the prompt, in its order
        self._checkpoint_s = checkpoint_s
        self._deadline_s = deadline_s
        self._request_id = f"{claimed.id}.{claimed.attempt}"
        self._cancel_asked_at = claimed.cancel_requested_at
        self._is_draining = False
        self._is_lost = False  # another attempt owns the generation now
        self._continues = claimed.model_digest == model.engine.model_digest and bool(claimed.token_ids)
        self._token_ids = list(claimed.token_ids) if self._continues else []
        self._kept = len(self._token_ids)  # how many of them the store has
        label = None if isinstance(claimed.prompt, str) else model.stop_text  # raw text has no labelled turns
        self._detokenizer = Detokenizer(model.tokenizer, stop_text=label, stop=claimed.sampling.stop)
        self._logprobs: list[TokenLogprob] = list(claimed.logprobs or ()) if self._continues else []
        self._has_new_token = asyncio.Event()
        self._prompt_tokens = 0
        self._left_out = 0  # earlier turns for which there was no room
        self.proven = asyncio.Event()  # its first token is there, or it is over
        self._metrics = AnswerMetrics(model.name, claimed)
        text = claimed.answer if self._continues else ""
        self._stream: AnswerStream = publisher.open(
            claimed.id, claimed.attempt, text, claimed.listeners, self._logprobs
        )

    # From outside, at any time.

    def cancel(self, asked_at: datetime) -> None:
        """The person pressed stop at `asked_at`: the answer ends with what it has."""
        self._cancel_asked_at = asked_at
        self._model.engine.cancel(self._request_id)

    def drain(self) -> None:
        """The worker ends: keep what there is and let another one continue."""
        self._is_draining = True
        self._model.engine.cancel(self._request_id)

    def watch(self, node_id: str, offset: int) -> None:
        """A web node shows this answer now and has `offset` code points of it."""
        self._stream.watch(node_id, offset)

    @property
    def tokens(self) -> int:
        """What this turn took so far, its prompt included."""
        return self._prompt_tokens + len(self._token_ids)

    @property
    def seconds(self) -> float:
        """Since the claim."""
        return self._metrics.seconds

    # The work, in this order.

    async def run(self) -> Ending | None:
        """Generate, flush, write the end. None: another attempt took over, and nothing was written."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publisher.announce(self._stream, GenerationState.RUNNING))
            ending = await self._attempt()
        if self._is_lost:
            log.info("claim_lost")
            return None
        is_written = await (self._give_back(ending) if ending.state is GenerationState.QUEUED else self._finish(ending))
        if is_written:
            self._trace(ending)
        return ending if is_written else None

    def _trace(self, ending: Ending) -> None:
        reason = reason_of(ending.state, ending.finish_reason)
        tokens = len(self._token_ids)
        end = AttemptEnd(reason, ending.error, self._prompt_tokens, tokens, ending.state.is_final)
        trace_attempt(self.claimed, self._model.name, self._metrics.times, end)

    async def announce_end(self, ending: Ending) -> None:
        """Tell everybody who watches, also those who began to while it ended."""
        try:
            now = await self._store.generations.get(self.claimed.id)
        except StoreUnavailable:
            now = None
        await self._publisher.announce(self._stream, ending.state, now.listeners if now else ())

    def close(self) -> None:
        self.proven.set()
        self._publisher.close(self._stream)

    async def _attempt(self) -> Ending:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._answer()
        except TimeoutError:
            return Ending(GenerationState.FAILED, DeadlineExceeded())
        except NunmalError as error:
            return Ending(GenerationState.FAILED, error)
        except Exception:
            log.exception("generation_crashed")
            return Ending(GenerationState.FAILED, GenerationCrashed())

    async def _answer(self) -> Ending:
        if self._cancel_asked_at is not None:
            return Ending(GenerationState.STOPPED)
        if self.claimed.stalled_attempts > MOST_STALLED_ATTEMPTS:
            return Ending(GenerationState.FAILED, TooManyAttempts(attempts=MOST_STALLED_ATTEMPTS))
        request = await self._request()
        if self._detokenizer.is_stopped:  # the attempt before met a stop text, and could not say so any more
            return Ending(GenerationState.DONE, finish_reason="stop")
        self._metrics.submitted(len(request.prompt), request.max_new_tokens)
        async with aclosing(self._model.engine.submit(request)) as events, asyncio.TaskGroup() as tasks:
            self._obey_early_calls()
            checkpoints = tasks.create_task(self._keep_checkpoints())
            last = await self._read(events)
            checkpoints.cancel()
        return self._ending(last)

    async def _request(self) -> Request:
        claimed, model = self.claimed, self._model
        sampling = model.sampling.resolve(claimed.sampling)
        parent_id = claimed.parent_id
        turns = await patiently(lambda: self._store.generations.branch(parent_id, claimed.user_id)) if parent_id else []
        prompts = Prompts(model.tokenizer, model.engine.context_length, sampling.max_new_tokens, model.eyes)
        prompt = await self._prompt(prompts, turns)
        self._prompt_tokens = len(prompt)
        await asyncio.to_thread(self._restore_text)
        self._stream.hold_back(len(self._detokenizer.text))
        asked, vocabulary = claimed.sampling, model.vocabulary
        if asked.logprobs is not None:
            await asyncio.to_thread(vocabulary.open)
        schema = asked.json_schema
        thoughts = model.thoughts(self._shown)
        grammar = thoughts if schema is None else await asyncio.to_thread(model.grammar, schema)
        is_left_to_us = asked.temperature is None
        return Request(
            id=self._request_id,
            prompt=prompt,
            generated=tuple(self._token_ids),
            seed=claimed.seed,
            temperature=0.0
            if thoughts and is_left_to_us
            else sampling.temperature,  # what is seen is no matter of chance
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_new_tokens=sampling.max_new_tokens + (claimed.continued if self._continues else 0),
            frequency_penalty=asked.frequency_penalty,
            presence_penalty=asked.presence_penalty,
            logprobs=asked.logprobs,
            grammar=grammar,
            adapter=claimed.adapter,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            pictures=tuple(shown.looked.picture for shown in self._shown),
        )

    async def _prompt(self, prompts: Prompts, turns: Sequence[Generation]) -> tuple[int, ...]:
        """Its token ids, and the pictures in it are ready. Raises PictureGone, and what `Prompts.of` raises."""
        draft = await asyncio.to_thread(prompts.of, self.claimed, turns)
        self._left_out = draft.left_out
        eyes = self._model.eyes
        if eyes is None or not draft.pictures:
            return draft.token_ids
        shown = await self._pictures.shown(draft.pictures)
        described = {each.ref.sha256: len(each.looked.notes.token_ids) for each in shown}
        if any(described.values()):  # now that this is known, fewer turns may fit
            draft = await asyncio.to_thread(prompts.of, self.claimed, turns, described)
            self._left_out = draft.left_out
        looked_at = {each.ref: each for each in shown}
        self._shown = [looked_at[picture] for picture in draft.pictures]
        return draft.shown(eyes.facts, [each.looked for each in self._shown])

    def _obey_early_calls(self) -> None:
        """Cancel and drain may have come before the engine knew the request."""
        if self._cancel_asked_at is not None or self._is_draining:
            self._model.engine.cancel(self._request_id)

    def _restore_text(self) -> None:
        for token_id in self._token_ids:
            self._detokenizer.push(token_id)

    async def _read(self, events: TokenStream) -> TokenEvent:
        """Take in tokens until the answer is over. Ids and text change together, between two awaits."""
        async for event in events:
            if event.token_id is not None:
                self._token_ids.append(event.token_id)
                if event.logprobs:
                    start = self._detokenizer.length
                    if told := self._model.vocabulary.spelled(event.token_id, event.logprobs, start):
                        self._logprobs.append(told)
                self._stream.append(self._detokenizer.push(event.token_id))
                self._metrics.token()
                self._has_new_token.set()
                self.proven.set()
            if event.finish_reason or self._detokenizer.is_stopped:
                return event
        raise GenerationCrashed("the engine ended without a reason")

    def _ending(self, last: TokenEvent) -> Ending:
        if isinstance(last.error, EngineLost):
            return Ending(GenerationState.QUEUED, last.error)
        if last.finish_reason == "error":
            error = last.error if isinstance(last.error, NunmalError) else GenerationCrashed()
            return Ending(GenerationState.FAILED, error)
        if last.finish_reason == "cancelled":
            if self._cancel_asked_at is None:
                return Ending(GenerationState.QUEUED)
            self._metrics.slot_freed(self._cancel_asked_at)
            return Ending(GenerationState.STOPPED)
        is_cut = last.finish_reason == "length" and not self._detokenizer.is_stopped
        return Ending(GenerationState.DONE, finish_reason="length" if is_cut else "stop")

    async def _keep_checkpoints(self) -> None:
        await self._has_new_token.wait()
        try:
            await self._store.generations.first_token(self.claimed.id, self.claimed.attempt)
        except StoreUnavailable as error:
            log.warning("first_token_not_kept", extra=fields(reason=str(error)))
        while True:
            try:
                await self._checkpoint()
            except StoreUnavailable as error:
                log.warning("checkpoint_delayed", extra=fields(reason=str(error)))
            await asyncio.sleep(self._checkpoint_s)

    async def _checkpoint(self) -> None:
        if len(self._token_ids) <= self._kept:
            return
        result = await self._keep()
        if not result.is_current:
            self._is_lost = True
            self._model.engine.cancel(self._request_id)
        elif result.cancel_requested_at is not None:
            self.cancel(result.cancel_requested_at)

    async def _keep(self, *, gives_back: bool = False) -> CheckpointResult:
        """Write what there is now."""
        token_ids, answer = tuple(self._token_ids), self._stream.text
        result = await self._store.generations.checkpoint(
            self.claimed.id,
            self.claimed.attempt,
            token_ids,
            answer,
            self._model.engine.model_digest,
            self._told(),
            gives_back=gives_back,
        )
        self._kept = len(token_ids)
        return result

    def _told(self) -> tuple[TokenLogprob, ...] | None:
        """The logprobs to keep beside the token ids; None if nobody asked for them."""
        return None if self.claimed.sampling.logprobs is None else tuple(self._logprobs)

    async def _finish(self, ending: Ending) -> bool:
        self._stream.append(self._detokenizer.finish())
        await self._publisher.flush(self._stream)
        token_ids, answer = tuple(self._token_ids), self._stream.text
        if not token_ids:  # nothing was generated here: what an earlier attempt left stays
            token_ids, answer = self.claimed.token_ids, self.claimed.answer
        told = self._told() if self._token_ids else None
        if told and self._detokenizer.is_stopped:
            told = tuple(token for token in told if token.start < len(answer))
        evidence = await self._evidence(ending)
        is_written = await patiently(
            lambda: self._store.generations.finish(
                self.claimed.id,
                self.claimed.attempt,
                ending.state,
                token_ids,
                answer,
                ending.error,
                self._prompt_tokens,
                ending.finish_reason,
                told,
                evidence,
                self._left_out,
                self._model.engine.model_digest if self._token_ids else None,
            )
        )
        if is_written:
            self._metrics.ended(ending.state, ending.finish_reason, ending.error)
        return is_written

    async def _evidence(self, ending: Ending) -> Evidence | None:
        """What the whole answer rests on. None: it rests on no picture, or nobody can tell."""
        if ending.state is not GenerationState.DONE or not self._shown:
            return None
        try:
            return await asyncio.to_thread(self._model.evidence, tuple(self._shown), tuple(self._token_ids))
        except Exception:  # the answer is there all the same
            log.exception("evidence_failed")
            return None

    async def _give_back(self, ending: Ending) -> bool:
        """Draining is no stall, whether or not a token was made; what may have ended the engine is one without."""
        if len(self._token_ids) > self._kept:
            return (await patiently(lambda: self._keep(gives_back=True))).is_current
        is_draining = ending.error is None
        return await patiently(
            lambda: self._store.generations.requeue(self.claimed.id, self.claimed.attempt, made_progress=is_draining)
        )
