"""The pages of answers that a model writes from documents: ask, watch, stop, look again, remove."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from quart import Blueprint, redirect, render_template, request
from quart.typing import ResponseReturnValue

from shared.documents import MOST_QUESTION_CHARACTERS, Source
from shared.errors import InputError, LimitReached, NotFound, QueueFull
from shared.organising_errors import SearchUnavailable
from web.chat.hub import Hub
from web.chat.open_streams import OpenStreams
from web.chat.stream import StreamTimes, answer_events, parse_position
from web.chat.transcript import Transcripts, TurnView
from web.documents.answering import Answering
from web.documents.citing import link_of
from web.documents.collecting import Collecting
from web.documents.shelf import Shelf
from web.documents.views import PATH
from web.documents.writing import Writing, Written
from web.forms import query_value
from web.visitor import Visitors
from web.words import Words

_SHOWN_CHARACTERS = 160  # of a passage of which nothing is quoted


@dataclass(frozen=True, slots=True)
class SourceView:
    """`text`: what is quoted, or how the passage begins."""

    source: Source
    link: str
    text: str


def document_answers_blueprint(
    writing: Writing,
    answering: Answering,
    collecting: Collecting,
    shelf: Shelf,
    transcripts: Transcripts,
    hub: Hub,
    visitors: Visitors,
    times: StreamTimes,
    open_streams: OpenStreams,
) -> Blueprint:
    blueprint = Blueprint("document_answers", __name__, url_prefix=PATH)

    @blueprint.post("/ask")
    async def ask() -> ResponseReturnValue:
        """To the answer that is being written; where none is, to what was found, word for word."""
        form = await visitors.checked_form()
        user, asked = visitors.require_user(), form["q"]
        chosen = await collecting.shown(user.id, form["collection"])
        inside = (await collecting.get(user.id, chosen)).documents if chosen else None
        try:
            answer = await answering.answer(user.id, asked, None if inside is None else [each.id for each in inside])
        except (InputError, SearchUnavailable) as error:
            return await shelf.page(chosen, asked=asked[:MOST_QUESTION_CHARACTERS], error=error, at="ask")
        try:
            turn = await writing.begin(user.id, answer)
        except (LimitReached, QueueFull) as error:
            return await shelf.page(chosen, answer=answer, asked=asked, error=error, at="ask")
        if turn is None:
            where = {"collection": chosen} if chosen else {}
            return redirect(f"{PATH}?{urlencode(where | {'q': answer.question})}", 303)
        return redirect(f"{PATH}/answers/{turn.id}", 303)

    @blueprint.get("/answers/<answer_id>")
    async def look(answer_id: str) -> ResponseReturnValue:
        words = visitors.current().words
        written = await writing.get(visitors.require_user().id, answer_id)
        return await render_template(
            "document_answer.html",
            turn=await view(written, words),
            sources=_sources(written),
            page=f"{PATH}/answers/{answer_id}",
        )

    async def view(written: Written, words: Words) -> TurnView:
        citing, answer = writing.citing(written), written.turn.answer
        (turn,) = await transcripts.of([written.turn], words)
        if turn.is_over:
            return replace(turn, html=await citing.html(answer, words))
        blocks = [
            replace(block, html=await citing.html(answer[block.start : block.end], words)) for block in turn.blocks
        ]
        return replace(turn, blocks=blocks)

    @blueprint.get("/answers/<answer_id>/stream")
    async def stream(answer_id: str) -> ResponseReturnValue:
        user, words = visitors.require_user(), visitors.current().words
        citing = writing.citing(await writing.get(user.id, answer_id))

        async def dress(text: str) -> str:
            return await citing.html(text, words)

        position = parse_position(request.headers.get("Last-Event-ID") or query_value(request, "from"))
        events = answer_events(hub, answer_id, position, words, times, dress=dress)
        return await open_streams.response(user.id, events)

    @blueprint.post("/answers/<answer_id>/stop")
    async def stop(answer_id: str) -> ResponseReturnValue:
        await visitors.checked_form()
        await writing.stop(visitors.require_user().id, answer_id)
        return redirect(f"{PATH}/answers/{answer_id}", 303)

    @blueprint.post("/answers/<answer_id>/delete")
    async def delete(answer_id: str) -> ResponseReturnValue:
        await visitors.checked_form()
        with contextlib.suppress(NotFound):  # removed meanwhile, in another tab; a foreign one looks the same
            await writing.remove(visitors.require_user().id, answer_id)
        return redirect(PATH, 303)

    return blueprint


def _sources(written: Written) -> list[SourceView]:
    return [
        SourceView(source, link_of(source), _shown(source, text))
        for source, text in zip(written.turn.sources, written.texts, strict=True)
    ]


def _shown(source: Source, text: str) -> str:
    if source.quote is not None:
        return text[source.quote[0] - source.start : source.quote[1] - source.start]
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS].rstrip()}…"
