"""Server-Sent Events of one answer: `text`, `state`, `evidence`, `done` (ARCHITECTURE.md), and `reconnect` when this
node ends.

The socket owns nothing: closing it does not stop the answer, and any node can serve the rest.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from shared import tracing
from shared.chat import Generation
from shared.errors import StoreUnavailable
from shared.evidence import Evidence
from shared.metrics import STREAMS_OPEN
from shared.telemetry import fields
from web.chat.continuing import can_go_on
from web.chat.hub import Hub
from web.chat.live import Cursor, LiveAnswer
from web.chat.notes import note_of_live
from web.words import Words

log = logging.getLogger(__name__)

DrawEvidence = Callable[[Generation, Evidence], Awaitable[str]]
Dress = Callable[[str], Awaitable[str]]

_POSITION = re.compile(r"(\d{1,9})\.(\d{1,9})", re.ASCII)
_RETRY_MS = 1000


@dataclass(frozen=True, slots=True)
class Position:
    """What a browser has: `offset` code points of `attempt`'s answer."""

    attempt: int
    offset: int


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """Seconds between heartbeats, and after which a browser is asked to come anew."""

    heartbeat_s: float = 15.0
    life_s: float = 300.0


def parse_position(text: str) -> Position:
    """`attempt.offset` as in an event's id; anything else means: nothing yet."""
    match = _POSITION.fullmatch(text)
    return Position(int(match[1]), int(match[2])) if match else Position(0, 0)


async def answer_events(
    hub: Hub,
    generation_id: str,
    position: Position,
    words: Words,
    times: StreamTimes,
    draw: DrawEvidence | None = None,
    dress: Dress | None = None,
) -> AsyncGenerator[str, None]:
    """Events from `position` on, until the answer is over or it is time to reconnect. `draw`: evidence as HTML;
    `dress`: text of the answer, whole blocks of it, as HTML of another kind than all answers have."""
    now = asyncio.get_running_loop().time
    ends_at = now() + times.life_s
    shown: tuple[str, str] | None = None
    with STREAMS_OPEN.track_inprogress(), tracing.span("stream", generation_id, "server"):
        async with hub.watch(generation_id) as answer:
            await _heal(hub, answer, words)
            with answer.cursor(position.attempt, position.offset) as cursor:
                yield f"retry: {_RETRY_MS}\n\n"
                sent_at = now()
                while True:
                    version = answer.version
                    note = await _heal(hub, answer, words)
                    if answer.is_over:
                        if shown and (event := await _text(answer, cursor, dress)):
                            yield event
                        if answer.generation is not None and (event := await _evidence(answer.generation, draw)):
                            yield event
                        yield await _done(answer, note, dress)
                        return
                    state = str(answer.shown_state)
                    if (state, note) != shown:
                        shown = state, note
                        yield _event("state", {"state": state, "note": note})
                        sent_at = now()
                    if event := await _text(answer, cursor, dress):
                        yield event
                        sent_at = now()
                    if hub.is_closing or now() >= ends_at:
                        yield _event("reconnect", {})
                        return
                    if now() >= sent_at + times.heartbeat_s:
                        yield ": heartbeat\n\n"
                        sent_at = now()
                    wake_at = min(sent_at + times.heartbeat_s, ends_at) - now()
                    await answer.change(version, min(wake_at, hub.next_check_s(generation_id)))


async def _heal(hub: Hub, answer: LiveAnswer, words: Words) -> str:
    """Keep the answer true; returns the line to show."""
    try:
        await hub.heal(answer.generation_id)
    except StoreUnavailable:
        log.warning("stream_without_store", extra=fields(generation_id=answer.generation_id))
        return words("note.store_away")
    return words("note.store_away") if answer.is_store_away else note_of_live(answer, words)


async def _text(answer: LiveAnswer, cursor: Cursor, dress: Dress | None) -> str | None:
    await answer.settle()
    news = answer.news(cursor)
    if news is None:
        return None
    offset, text, blocks = news
    event_id, whole = f"{answer.attempt}.{cursor.position}", answer.text  # as they are now: dressing takes a while
    finished = [
        {
            "start": block.start,
            "end": block.end,
            "html": await dress(whole[block.start : block.end]) if dress else block.html,
        }
        for block in blocks
    ]
    return _event("text", {"offset": offset, "text": text, "blocks": finished}, event_id)


async def _evidence(turn: Generation, draw: DrawEvidence | None) -> str | None:
    if turn.evidence is None:
        return None
    data = turn.evidence.model_dump(mode="json")
    try:
        return _event("evidence", {**data, "html": await draw(turn, turn.evidence)} if draw else data)
    except StoreUnavailable:
        log.warning("evidence_without_store", extra=fields(generation_id=turn.id))
        return None  # it is there when the page is loaded again


async def _done(answer: LiveAnswer, note: str, dress: Dress | None) -> str:
    html = await dress(answer.text) if dress else await answer.final_html()
    data: dict[str, object] = {"state": str(answer.shown_state), "html": html, "note": note}
    if answer.generation is not None and can_go_on(answer.generation):
        data["can_go_on"] = True
    return _event("done", data, f"{answer.attempt}.{len(answer.text)}")


def _event(name: str, data: Mapping[str, object], event_id: str | None = None) -> str:
    identity = f"id: {event_id}\n" if event_id else ""
    return f"event: {name}\n{identity}data: {json.dumps(data, ensure_ascii=False)}\n\n"
