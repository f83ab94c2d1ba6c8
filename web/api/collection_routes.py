"""The routes under /v1/documents/collections: documents that are kept and asked together."""

from __future__ import annotations

from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue

from shared.errors import NotFound
from web.api import document_objects as objects
from web.api.access import Callers
from web.api.body import read_body
from web.api.objects import ApiObject
from web.api.problems import CollectionUnknown, DocumentUnknown, ParameterInvalid
from web.api.requests import CollectionRequest
from web.documents.answering import Answering
from web.documents.collecting import Collecting, FilledCollection
from web.documents.service import DocumentService
from web.forms import query_value

PATH = "/v1/documents/collections"

_SCOPE = "documents"
_ONE = "/<collection>"
_DOCUMENT = f"{_ONE}/documents/<document>"
_KEEP, _DELETE = "keep", "delete"  # what becomes of the documents of a collection that goes


def api_collections_blueprint(
    collecting: Collecting, documents: DocumentService, answering: Answering, callers: Callers
) -> Blueprint:
    blueprint = Blueprint("api_collections", __name__, url_prefix=PATH)

    @blueprint.post("")
    async def create() -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        body = await read_body(request, CollectionRequest)
        collection = await collecting.create(key.user_id, body.name)
        response = _json(_told(FilledCollection(collection, ())), 201)
        response.headers["Location"] = f"{PATH}/{collection.id}"
        return response

    @blueprint.get("")
    async def all_of_them() -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        found = await collecting.all(key.user_id, await documents.all(key.user_id))
        return _json(objects.DocumentCollectionList(object="list", data=[_told(each) for each in found]))

    @blueprint.get(_ONE)
    async def one(collection: str) -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        return _json(_told(await known(key.user_id, collection)))

    @blueprint.post(_ONE)
    async def rename(collection: str) -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        body = await read_body(request, CollectionRequest)
        try:
            await collecting.rename(key.user_id, collection, body.name)
        except NotFound as error:
            raise CollectionUnknown from error
        return _json(_told(await known(key.user_id, collection)))

    @blueprint.delete(_ONE)
    async def remove(collection: str) -> ResponseReturnValue:
        """`documents=delete`: with all that lies in it."""
        key = await callers.require(_SCOPE)
        fate = query_value(request, "documents") or _KEEP
        if fate not in (_KEEP, _DELETE):
            raise ParameterInvalid(param="documents")
        try:
            await collecting.remove(key.user_id, collection, with_documents=fate == _DELETE)
        except NotFound as error:
            raise CollectionUnknown from error
        answering.forget(key.user_id)
        return _json(
            objects.DocumentCollectionDeleted(id=collection, object="document.collection.deleted", deleted=True)
        )

    @blueprint.put(_DOCUMENT)
    async def put_in(collection: str, document: str) -> ResponseReturnValue:
        """Out of the collection it lay in."""
        key = await callers.require(_SCOPE)
        await known(key.user_id, collection)
        try:
            await collecting.put(key.user_id, document, collection)
        except NotFound as error:
            raise DocumentUnknown from error
        return _json(_told(await known(key.user_id, collection)))

    @blueprint.delete(_DOCUMENT)
    async def take_out(collection: str, document: str) -> ResponseReturnValue:
        """The document stays."""
        key = await callers.require(_SCOPE)
        if document not in [each.id for each in (await known(key.user_id, collection)).documents]:
            raise DocumentUnknown
        await collecting.put(key.user_id, document, None)
        return _json(_told(await known(key.user_id, collection)))

    async def known(user_id: str, collection: str) -> FilledCollection:
        try:
            return await collecting.get(user_id, collection)
        except NotFound as error:
            raise CollectionUnknown from error

    return blueprint


def _told(filled: FilledCollection) -> objects.DocumentCollection:
    return objects.DocumentCollection(
        id=filled.collection.id,
        object="document.collection",
        name=filled.collection.name,
        documents=[document.id for document in filled.documents],
        size_bytes=filled.size_bytes,
        created=int(filled.collection.created_at.timestamp()),
    )


def _json(body: ApiObject, status: int = 200) -> Response:
    return Response(body.sent(), status=status, content_type="application/json")
