"""A completion as Server-Sent Events of OpenAI's shape, over the same live answers that pages show.

What was sent is never taken back: while another worker writes a lost end again, nothing is sent until there is more.
With logprobs a chunk has those of the tokens that begin in its text; what follows the text comes with the end.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from shared.chat import Generation, GenerationState, Origin, TokenLogprob
from shared.errors import GenerationCrashed
from shared.metrics import STREAMS_OPEN
from web.api.envelope import Envelopes
from web.api.objects import (
    ApiObject,
    ChatCompletionChunk,
    Completion,
    Delta,
    DeltaChoice,
    FinishReason,
    TextChoice,
    Usage,
)
from web.api.problems import NodeEnding
from web.api.service import ApiService
from web.api.shapes import (
    chat_logprobs,
    completion_id,
    fingerprint,
    finish_reason,
    model_of,
    text_logprobs,
    usage_of,
)
from web.api.watching import Watch, watching
from web.chat.hub import Hub
from web.chat.live import LiveAnswer
from web.chat.stream import StreamTimes
from web.words import Words

HEARTBEAT = ": heartbeat\n\n"
_DONE = "data: [DONE]\n\n"


def event(data: ApiObject, name: str = "", event_id: str = "") -> str:
    """One Server-Sent Event."""
    head = (f"event: {name}\n" if name else "") + (f"id: {event_id}\n" if event_id else "")
    return f"{head}data: {data.sent()}\n\n"


class Chunks(Protocol):
    """How the pieces of one kind of completion look."""

    def begin(self, index: int) -> ApiObject | None: ...

    def text(self, index: int, text: str, logprobs: Sequence[TokenLogprob] | None) -> ApiObject:
        """`logprobs`: None if they were not asked for."""
        ...

    def end(self, index: int, reason: FinishReason) -> ApiObject: ...

    def usage(self, usage: Usage) -> ApiObject: ...


class CompletionStreams:
    def __init__(self, service: ApiService, hub: Hub, envelopes: Envelopes, times: StreamTimes, model: str) -> None:
        self._service = service
        self._hub = hub
        self._envelopes = envelopes
        self._times = times
        self._model = model

    async def open(self, turns: Sequence[Generation], words: Words, *, with_usage: bool) -> AsyncGenerator[str, None]:
        """The events, from when the answer begins or 15 s have passed: what fails before that is raised, and the
        client gets a status. Closed before its end, it stops the answers: nobody else could fetch them."""
        stream = self._events(turns, words, with_usage)
        try:
            await anext(stream)
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def whole(self, turns: Sequence[Generation]) -> list[Generation]:
        """All of them, over. Raises NodeEnding, NotFound and why one failed; the others are stopped then, as they are
        if the caller is cancelled."""
        try:
            async with watching(self._hub, turns) as watch:
                await self._over(watch)
            return [await self._service.ended(turn.id) for turn in turns]
        except BaseException:
            self._service.abandon(turns)
            raise

    async def _over(self, watch: Watch) -> None:
        while True:
            await watch.look()
            await self._raise_failed(watch)
            if watch.are_over:
                return
            if watch.is_node_ending:
                raise NodeEnding
            await watch.change(self._times.heartbeat_s)

    async def _raise_failed(self, watch: Watch) -> None:
        """Why one of them failed, if one did: the others are in vain then."""
        for answer in watch.answers:
            if answer.is_gone or answer.state is GenerationState.FAILED:
                await self._service.ended(answer.generation_id)

    async def _events(self, turns: Sequence[Generation], words: Words, with_usage: bool) -> AsyncGenerator[str, None]:
        """The first one is empty: it says that the stream may begin."""
        is_finished = False
        try:
            with STREAMS_OPEN.track_inprogress():
                async with watching(self._hub, turns) as watch:
                    await self._begin(watch)
                    yield ""
                    try:
                        async with aclosing(self._answers(watch, turns, with_usage)) as answers:
                            async for each in answers:
                                yield each
                        is_finished = True
                    except Exception as error:  # the status is sent already: the error takes the next event's place
                        yield event(self._envelopes.body(error, words))
        finally:
            if not is_finished:
                self._service.abandon(turns)

    async def _begin(self, watch: Watch) -> None:
        now = asyncio.get_running_loop().time
        begin_at = now() + self._times.heartbeat_s
        while True:
            await watch.look()
            await self._raise_failed(watch)
            if watch.is_node_ending:
                raise NodeEnding
            if now() >= begin_at or watch.are_over or any(answer.text for answer in watch.answers):
                return
            await watch.change(begin_at - now())

    async def _answers(self, watch: Watch, turns: Sequence[Generation], with_usage: bool) -> AsyncGenerator[str, None]:
        now = asyncio.get_running_loop().time
        shape = _chunks_of(turns[0], watch.answers[0], model_of(turns[0], self._model), with_usage)
        said = [""] * len(turns)
        with_logprobs = turns[0].sampling.logprobs is not None
        ended: dict[int, Generation] = {}
        for index in range(len(turns)):
            if first := shape.begin(index):
                yield event(first)
        sent_at = now()
        while True:
            await watch.look()
            for index, answer in enumerate(watch.answers):
                if index in ended:
                    continue
                final = await self._service.ended(answer.generation_id) if answer.is_over else None
                text = final.answer if final else answer.text
                news = _unsaid(said[index], text, is_final=final is not None)
                told = _from(final.logprobs or () if final else answer.logprobs, len(said[index]))
                if news or (final and told):
                    said[index] = text
                    yield event(shape.text(index, news, told if with_logprobs else None))
                    sent_at = now()
                if final:
                    ended[index] = final
                    yield event(shape.end(index, finish_reason(final)))
            if len(ended) == len(turns):
                break
            if watch.is_node_ending:
                raise NodeEnding
            if now() >= sent_at + self._times.heartbeat_s:
                yield HEARTBEAT
                sent_at = now()
            await watch.change(sent_at + self._times.heartbeat_s - now())
        if with_usage:
            yield event(shape.usage(usage_of([ended[index] for index in range(len(turns))])))
        yield _DONE


def _unsaid(said: str, text: str, *, is_final: bool) -> str:
    """What follows `said`. Raises GenerationCrashed if the end of the answer does not continue it: a client cannot take
    back what it has."""
    if text.startswith(said):
        return text[len(said) :]
    if is_final:
        raise GenerationCrashed("another worker wrote other words")
    return ""


def _from(logprobs: Sequence[TokenLogprob], start: int) -> Sequence[TokenLogprob]:
    """Of the tokens that begin there or later."""
    return logprobs[bisect_left(logprobs, start, key=lambda token: token.start) :]


def _chunks_of(turn: Generation, answer: LiveAnswer, model: str, with_usage: bool) -> Chunks:
    kind = _TextChunks if turn.origin is Origin.TEXT else _ChatChunks
    return kind(turn, answer, model, with_usage)


class _Head:
    """What all chunks of a stream have in common. `usage` is there only if it was asked for, and null until the end."""

    def __init__(self, turn: Generation, answer: LiveAnswer, model: str, with_usage: bool) -> None:
        self._id = completion_id(turn)
        self._created = int(turn.created_at.timestamp())
        self._turn = turn
        self._answer = answer
        self._model = model
        self._with_usage = with_usage

    @property
    def _fingerprint(self) -> str | None:
        return fingerprint(self._answer.generation or self._turn)


class _ChatChunks(_Head):
    def begin(self, index: int) -> ApiObject:
        return self._chunk([self._choice(index, Delta(role="assistant", content=""))])

    def text(self, index: int, text: str, logprobs: Sequence[TokenLogprob] | None) -> ApiObject:
        return self._chunk([self._choice(index, Delta(content=text), logprobs=logprobs)])

    def end(self, index: int, reason: FinishReason) -> ApiObject:
        return self._chunk([self._choice(index, Delta(), reason)])

    def usage(self, usage: Usage) -> ApiObject:
        return self._chunk([], usage)

    def _choice(
        self,
        index: int,
        delta: Delta,
        reason: FinishReason | None = None,
        logprobs: Sequence[TokenLogprob] | None = None,
    ) -> DeltaChoice:
        return DeltaChoice(index=index, delta=delta, logprobs=chat_logprobs(logprobs), finish_reason=reason)

    def _chunk(self, choices: list[DeltaChoice], usage: Usage | None = None) -> ApiObject:
        chunk = ChatCompletionChunk(
            id=self._id,
            object="chat.completion.chunk",
            created=self._created,
            model=self._model,
            system_fingerprint=self._fingerprint,
            choices=choices,
        )
        return chunk.model_copy(update={"usage": usage}) if self._with_usage else chunk


class _TextChunks(_Head):
    def begin(self, index: int) -> None:
        return None

    def text(self, index: int, text: str, logprobs: Sequence[TokenLogprob] | None) -> ApiObject:
        told = text_logprobs(logprobs)
        return self._chunk([TextChoice(index=index, text=text, logprobs=told, finish_reason=None)])

    def end(self, index: int, reason: FinishReason) -> ApiObject:
        return self._chunk([TextChoice(index=index, text="", logprobs=None, finish_reason=reason)])

    def usage(self, usage: Usage) -> ApiObject:
        return self._chunk([], usage)

    def _chunk(self, choices: list[TextChoice], usage: Usage | None = None) -> ApiObject:
        chunk = Completion(
            id=self._id,
            object="text_completion",
            created=self._created,
            model=self._model,
            system_fingerprint=self._fingerprint,
            choices=choices,
        )
        return chunk.model_copy(update={"usage": usage}) if self._with_usage else chunk
