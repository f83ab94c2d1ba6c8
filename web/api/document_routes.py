"""The routes under /v1/documents: what the pages under /documents do, for programs."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime

from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue

from shared.documents import Document, DocumentState, seconds_left
from shared.errors import NotFound
from web.api import document_objects as objects
from web.api.access import Callers
from web.api.body import read_body
from web.api.envelope import Envelopes
from web.api.objects import ApiObject, Error
from web.api.problems import CollectionUnknown, ContentTypeUnknown, DocumentUnknown, ParameterInvalid, ParameterMissing
from web.api.requests import AskRequest
from web.api.writing_routes import Writings
from web.bodies import LargeBodies
from web.documents.answering import Answering
from web.documents.bundles import bundled
from web.documents.collecting import Collecting
from web.documents.service import DocumentService
from web.documents.writing import Writing
from web.forms import read_form

PATH = "/v1/documents"
FILE = "file"
PICTURE = "picture"  # any number of them, which a Markdown file names

_SCOPE = "documents"
_ONE = "/<string(minlength=20):document>"  # longer than the words that stand in its place


def api_documents_blueprint(
    documents: DocumentService,
    collecting: Collecting,
    answering: Answering,
    writing: Writing,
    writings: Writings,
    callers: Callers,
    envelopes: Envelopes,
    large_bodies: LargeBodies,
) -> Blueprint:
    blueprint = Blueprint("api_documents", __name__, url_prefix=PATH)

    @blueprint.post("")
    async def upload() -> ResponseReturnValue:
        """The same bytes again: the document that has them. Every picture has to be named by the file."""
        key = await callers.require(_SCOPE)
        if request.mimetype != "multipart/form-data":
            raise ContentTypeUnknown
        with large_bodies.reading(request, key.user_id):
            form = await read_form(request, is_long=True, has_files=True)
            sent = form.named_files(FILE)
            if len(sent) != 1:
                raise ParameterMissing(param=FILE)
            (file, *unnamed) = await asyncio.to_thread(bundled, [*sent, *form.named_files(PICTURE)])
            if unnamed or form.every(PICTURE):  # words are no picture
                raise ParameterInvalid(param=PICTURE)
            document = await documents.upload(key.user_id, file.name, file.data)
        response = _json(told(document), 202)
        response.headers["Location"] = f"{PATH}/{document.id}"
        return response

    @blueprint.get("")
    async def all_of_them() -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        found = await documents.all(key.user_id)
        return _json(objects.DocumentList(object="list", data=[told(document) for document in found]))

    @blueprint.get(_ONE)
    async def one(document: str) -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        try:
            return _json(told(await documents.get(key.user_id, document)))
        except NotFound as error:
            raise DocumentUnknown from error

    @blueprint.delete(_ONE)
    async def remove(document: str) -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        try:
            await documents.remove(key.user_id, document)
        except NotFound as error:
            raise DocumentUnknown from error
        answering.forget(key.user_id)
        return _json(objects.DocumentDeleted(id=document, object="document.deleted", deleted=True))

    @blueprint.post("/ask")
    async def ask() -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        body = await read_body(request, AskRequest)
        body.check()
        asked = body.documents
        if body.collection is not None:
            try:
                inside = (await collecting.get(key.user_id, body.collection)).documents
            except NotFound as error:
                raise CollectionUnknown from error
            asked = [document.id for document in inside]
        try:
            answer = await answering.answer(key.user_id, body.question, asked)
        except NotFound as error:
            raise DocumentUnknown from error
        cited = [
            objects.DocumentCitation(document=fields.pop("document_id"), **fields)
            for fields in map(asdict, answer.citations)
        ]
        turn = await writing.begin(key.user_id, answer) if body.write else None
        written = await writings.told(await writing.get(key.user_id, turn.id), envelopes.language()) if turn else None
        return _json(
            objects.DocumentAnswer(
                object="document.answer",
                question=answer.question,
                documents=answer.documents,
                citations=cited,
                written=written,
            )
        )

    def told(document: Document) -> objects.Document:
        error = None
        if document.state is DocumentState.FAILED and document.error_code:
            sentence = envelopes.language().explain_code(document.error_code, document.error_facts)
            error = Error(message=sentence, type="invalid_request_error", param=None, code=document.error_code)
        return objects.Document(
            id=document.id,
            object="document",
            name=document.name,
            kind=str(document.kind),
            size_bytes=document.size_bytes,
            status=document.state.value,  # type: ignore[arg-type]  # a removed one is never shown
            pages=document.page_count or None,
            pages_done=document.pages_done,
            pages_unread=document.pages_unread,
            eta_s=seconds_left(document, datetime.now(UTC)),
            error=error,
            created=int(document.created_at.timestamp()),
            collection=document.collection_id,
            status_url=f"{PATH}/{document.id}",
        )

    return blueprint


def _json(body: ApiObject, status: int = 200) -> Response:
    return Response(body.sent(), status=status, content_type="application/json")
