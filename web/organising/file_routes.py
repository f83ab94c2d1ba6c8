"""Conversations as files: /library/<id>/export.md, .json and /print, and /library/import."""

from __future__ import annotations

from collections import Counter
from urllib.parse import quote

from quart import Blueprint, Response, render_template, request
from quart.typing import ResponseReturnValue

from shared.chat import Conversation
from shared.errors import InputError, LimitReached, NunmalError
from shared.organising_errors import ImportEmpty
from shared.store import Store
from web.auth.clients import Clients
from web.auth.throttling import Throttling
from web.bodies import LargeBodies
from web.chat.service import ChatService
from web.chat.transcript import Transcripts
from web.errors import page_after
from web.organising.exporting import json_of, markdown_of
from web.organising.importing import MOST_MIB, MOST_TURNS, Imported, Importing, Outcome
from web.visitor import Visitors

IMPORTS = "/library/import"

_OUTCOMES: dict[Outcome, str] = {
    "new": "files.new",
    "grown": "files.grown",
    "known": "files.known",
    "later": "files.later",
    "shape": "files.shape",
    "empty": "files.empty",
    "too_long": "files.too_long",
}
_MOST_SHOWN = 300  # rows of the result


def files_blueprint(
    store: Store,
    chat: ChatService,
    transcripts: Transcripts,
    throttling: Throttling,
    visitors: Visitors,
    clients: Clients,
    large_bodies: LargeBodies,
) -> Blueprint:
    blueprint = Blueprint("files", __name__)
    importing = Importing(store)

    @blueprint.get("/library/<conversation_id>/export.md")
    async def markdown(conversation_id: str) -> ResponseReturnValue:
        opened = await chat.open(visitors.require_user(), conversation_id)
        text = markdown_of(opened, visitors.current().words)
        return attachment(text, "text/markdown", opened.conversation, "md")

    @blueprint.get("/library/<conversation_id>/export.json")
    async def tree(conversation_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        opened = await chat.open(user, conversation_id)
        text = await json_of(store, user, [opened.conversation])
        return attachment(text, "application/json", opened.conversation, "json")

    @blueprint.get("/library/<conversation_id>/print")
    async def to_print(conversation_id: str) -> ResponseReturnValue:
        opened = await chat.open(visitors.require_user(), conversation_id)
        turns = await transcripts.of([turn for turn in opened.turns if turn.state.is_final], visitors.current().words)
        return await render_template("print.html", conversation=opened.conversation, turns=turns)

    async def import_page(results: list[Imported] | None = None, error: NunmalError | None = None) -> Response:
        words = visitors.current().words
        counts = Counter(each.outcome for each in results or ())
        body = await render_template(
            "import.html",
            results=results[:_MOST_SHOWN] if results is not None else None,
            counts=[(words(key), counts[outcome]) for outcome, key in _OUTCOMES.items() if counts[outcome]],
            outcomes=_OUTCOMES,
            total=len(results or ()),
            pictures=sum(each.pictures for each in results or ()),
            most_mib=MOST_MIB,
            most_turns=MOST_TURNS,
            error=words.explain(error) if error else "",
        )
        return page_after(body, error)

    @blueprint.get(IMPORTS)
    async def choose() -> ResponseReturnValue:
        visitors.require_user()
        return await import_page()

    @blueprint.post(IMPORTS)
    async def bring() -> ResponseReturnValue:
        """Each import may write thousands of turns, so those of one person are throttled like their tries to log in."""
        user = visitors.require_user()
        with large_bodies.reading(request, user.id):
            form = await visitors.checked_form(is_long=True, has_files=True)
            try:
                files = form.files("file")
                if not files or not files[0]:
                    raise ImportEmpty
                await throttling.begin("import", user.id, clients.current().address)
                return await import_page(await importing.bring(user, files[0]))
            except (InputError, LimitReached) as error:
                return await import_page(error=error)

    return blueprint


def attachment(text: str, mime: str, conversation: Conversation, ending: str) -> Response:
    """A file that is called what its conversation is called."""
    name = "".join(each if each.isalnum() or each in " -_" else " " for each in conversation.title)
    name = " ".join(name.split()) or "nunmal"
    response = Response(text, content_type=f"{mime}; charset=utf-8")
    response.headers["Content-Disposition"] = (
        f"attachment; filename=\"nunmal.{ending}\"; filename*=UTF-8''{quote(name, safe='')}.{ending}"
    )
    return response
