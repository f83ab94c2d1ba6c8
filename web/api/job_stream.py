"""An answer that is fetched by its address, as Server-Sent Events: `state`, `text`, `done`, `reconnect`, with ids
`attempt.offset` as pages get them.

The socket owns nothing: closing it does not stop the answer, and Last-Event-ID gets the rest from any node.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from shared.chat import Generation, GenerationState
from shared.errors import NotFound, StoreUnavailable
from shared.metrics import STREAMS_OPEN
from web.api.envelope import Envelopes
from web.api.objects import ApiObject, ErrorBody, JobState, JobText
from web.api.shapes import place_of
from web.api.stream import HEARTBEAT, event
from web.api.watching import watching
from web.chat.hub import Hub
from web.chat.live import Cursor, LiveAnswer
from web.chat.stream import Position, StreamTimes
from web.words import Words

_RETRY = "retry: 1000\n\n"
_RECONNECT = "event: reconnect\ndata: {}\n\n"

Tell = Callable[[Generation, Words], Awaitable[ApiObject]]


class JobStreams:
    """`tell`: what an answer is once it is over; raises NotFound, StoreUnavailable."""

    def __init__(self, hub: Hub, envelopes: Envelopes, times: StreamTimes, tell: Tell) -> None:
        self._hub = hub
        self._envelopes = envelopes
        self._times = times
        self._tell = tell

    async def events(self, turn: Generation, position: Position, words: Words) -> AsyncGenerator[str, None]:
        """From `position` on, until the answer is over or it is time to reconnect."""
        now = asyncio.get_running_loop().time
        ends_at = now() + self._times.life_s
        shown: JobState | None = None
        with STREAMS_OPEN.track_inprogress():
            async with watching(self._hub, [turn]) as watch:
                (answer,) = watch.answers
                await watch.look()
                with answer.cursor(position.attempt, position.offset) as cursor:
                    yield _RETRY
                    sent_at = now()
                    while True:
                        await watch.look()
                        if not answer.is_over and (state := _state(answer)) != shown:
                            shown = state
                            yield event(state, "state")
                            sent_at = now()
                        if text := _text(answer, cursor):
                            yield text
                            sent_at = now()
                        if answer.is_over:
                            yield await self._last(answer, words)
                            return
                        if watch.is_node_ending or now() >= ends_at:
                            yield _RECONNECT
                            return
                        if now() >= sent_at + self._times.heartbeat_s:
                            yield HEARTBEAT
                            sent_at = now()
                        await watch.change(min(sent_at + self._times.heartbeat_s, ends_at) - now())

    async def _last(self, answer: LiveAnswer, words: Words) -> str:
        try:
            if answer.generation is None:
                raise NotFound
            told = await self._tell(answer.generation, words)
        except (NotFound, StoreUnavailable) as error:
            return _error(self._envelopes.body(error, words))
        return event(told, "done", f"{answer.attempt}.{len(answer.text)}")


def _state(answer: LiveAnswer) -> JobState:
    if answer.state is GenerationState.QUEUED:
        status = "running" if answer.attempt else "queued"
        return JobState.model_validate({"status": status, "place": place_of(answer.place)})
    return JobState(status="running", place=None)


def _text(answer: LiveAnswer, cursor: Cursor) -> str | None:
    news = answer.news(cursor)
    if news is None:
        return None
    offset, text, _ = news
    return event(JobText(offset=offset, text=text), "text", f"{answer.attempt}.{cursor.position}")


def _error(body: ErrorBody) -> str:
    return event(body, "error")
