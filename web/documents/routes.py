"""The pages under /documents: upload, look, ask, remove."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import quote

from quart import Blueprint, Response, redirect, render_template, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from shared.document_errors import DocumentEmpty, DocumentTooLarge, TooManyDocuments
from shared.documents import MOST_QUESTION_CHARACTERS
from shared.errors import InputError, NotFound
from shared.organising_errors import SearchUnavailable
from web.bodies import LargeBodies
from web.documents.answering import Answering
from web.documents.bundles import bundled
from web.documents.collecting import Collecting
from web.documents.service import DocumentService
from web.documents.shelf import MOST_AT_ONCE, MOST_FILES_AT_ONCE, Shelf, address
from web.documents.views import PATH, boxes_of
from web.forms import query_value
from web.visitor import Visitors

_FOR_EVER = "private, max-age=31536000, immutable"


def documents_blueprint(
    documents: DocumentService,
    collecting: Collecting,
    answering: Answering,
    shelf: Shelf,
    visitors: Visitors,
    large_bodies: LargeBodies,
) -> Blueprint:
    blueprint = Blueprint("documents", __name__, url_prefix=PATH)

    @blueprint.get("")
    async def ask() -> ResponseReturnValue:
        """All of one's documents, or those of `collection`, and what they say about `q`."""
        user, asked = visitors.require_user(), query_value(request, "q")
        chosen = query_value(request, "collection")
        if not asked:
            return await shelf.page(chosen)
        inside = (await collecting.get(user.id, chosen)).documents if chosen else None
        try:
            answer = await answering.answer(user.id, asked, None if inside is None else [each.id for each in inside])
            return await shelf.page(chosen, answer=answer, asked=asked)
        except (InputError, SearchUnavailable) as error:
            return await shelf.page(chosen, asked=asked[:MOST_QUESTION_CHARACTERS], error=error, at="ask")

    @blueprint.get("/live")
    async def live() -> ResponseReturnValue:
        """The list alone, for a page that is open."""
        visitors.require_user()
        return await shelf.part(query_value(request, "collection"))

    @blueprint.post("")
    async def upload() -> ResponseReturnValue:
        """Pictures that a Markdown file names are part of it. Those before a file that is refused are kept; with
        `collection` they lie in it."""
        user = visitors.require_user()
        with large_bodies.reading(request, user.id):
            try:
                form = await visitors.checked_form(is_long=True, has_files=True)
            except RequestEntityTooLarge:
                return await shelf.page(error=DocumentTooLarge(limit=documents.most_mib))
            chosen = form["collection"]
            files = form.named_files("document")
            try:
                if not files:
                    raise DocumentEmpty
                if len(files) > MOST_FILES_AT_ONCE:
                    raise TooManyDocuments(limit=MOST_AT_ONCE)
                files = await asyncio.to_thread(bundled, files)
                if len(files) > MOST_AT_ONCE:
                    raise TooManyDocuments(limit=MOST_AT_ONCE)
                for file in files:
                    document = await documents.upload(user.id, file.name, file.data)
                    if chosen:
                        await collecting.put(user.id, document.id, chosen)
            except InputError as error:
                return await shelf.page(chosen, error=error)
        return redirect(address(chosen), 303)

    @blueprint.get("/<document_id>/pages/<int:number>")
    async def page(document_id: str, number: int) -> ResponseReturnValue:
        """With the passage `from`..`to` of its text marked, if they are given."""
        document, found = await documents.page(visitors.require_user().id, document_id, number)
        start, end = _span(query_value(request, "from"), query_value(request, "to"), len(found.text))
        return await render_template(
            "document_page.html",
            document=document,
            page=found,
            reason=visitors.current().words.explain_code(found.note, {}) if found.note else "",
            boxes=boxes_of(found, start, end),
            pieces=(found.text[:start], found.text[start:end], found.text[end:]),
            path=f"{PATH}/{document.id}/pages/",
        )

    @blueprint.get("/<document_id>/pages/<int:number>.jpg")
    async def picture(document_id: str, number: int) -> ResponseReturnValue:
        _, found = await documents.page(visitors.require_user().id, document_id, number)
        response = Response(await documents.blob(found.picture), content_type="image/jpeg")
        response.headers["Cache-Control"] = _FOR_EVER
        return response

    @blueprint.get("/<document_id>/file")
    async def file(document_id: str) -> ResponseReturnValue:
        """As it was uploaded; never shown in the page, because it may hold scripts."""
        document = await documents.get(visitors.require_user().id, document_id)
        response = Response(await documents.blob(document.sha256), content_type="application/octet-stream")
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(document.name, safe='')}"
        return response

    @blueprint.post("/<document_id>/delete")
    async def delete(document_id: str) -> ResponseReturnValue:
        form = await visitors.checked_form()
        user = visitors.require_user()
        with contextlib.suppress(NotFound):  # removed meanwhile, in another tab; a foreign one looks the same
            await documents.remove(user.id, document_id)
        answering.forget(user.id)
        return redirect(address(await collecting.shown(user.id, form["shown"])), 303)

    return blueprint


def _span(start: str, end: str, length: int) -> tuple[int, int]:
    """Nothing, unless both are places of the text."""
    if not (start.isdecimal() and end.isdecimal() and len(start) < 7 and len(end) < 7):
        return 0, 0
    return (int(start), int(end)) if int(start) < int(end) <= length else (0, 0)
