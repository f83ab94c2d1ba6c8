"""What is posted to /documents about collections; the page they are on is shelf.py."""

from __future__ import annotations

import contextlib

from quart import Blueprint, redirect
from quart.typing import ResponseReturnValue

from shared.document_errors import CollectionFull
from shared.documents import MOST_COLLECTION_NAME_CHARACTERS
from shared.errors import InputError, NotFound
from web.documents.answering import Answering
from web.documents.collecting import Collecting
from web.documents.shelf import Shelf, address
from web.documents.views import PATH
from web.visitor import Visitors

_WITH_DOCUMENTS = "with"


def collections_blueprint(collecting: Collecting, answering: Answering, shelf: Shelf, visitors: Visitors) -> Blueprint:
    blueprint = Blueprint("collections", __name__, url_prefix=PATH)

    @blueprint.post("/collections")
    async def create() -> ResponseReturnValue:
        form = await visitors.checked_form()
        user, name = visitors.require_user(), form["name"]
        try:
            collection = await collecting.create(user.id, name)
        except InputError as error:
            return await shelf.page(typed=name[:MOST_COLLECTION_NAME_CHARACTERS], error=error, at="create")
        return redirect(address(collection.id), 303)

    @blueprint.post("/collections/<collection_id>/rename")
    async def rename(collection_id: str) -> ResponseReturnValue:
        form = await visitors.checked_form()
        user, name = visitors.require_user(), form["name"]
        try:
            await collecting.rename(user.id, collection_id, name)
        except InputError as error:
            typed = name[:MOST_COLLECTION_NAME_CHARACTERS]
            return await shelf.page(collection_id, typed=typed, error=error, at="rename")
        return redirect(address(collection_id), 303)

    @blueprint.post("/collections/<collection_id>/delete")
    async def delete(collection_id: str) -> ResponseReturnValue:
        form = await visitors.checked_form()
        user = visitors.require_user()
        with contextlib.suppress(NotFound):  # removed meanwhile, in another tab
            await collecting.remove(user.id, collection_id, with_documents=form["documents"] == _WITH_DOCUMENTS)
        answering.forget(user.id)
        return redirect(PATH, 303)

    @blueprint.post("/<document_id>/collection")
    async def put(document_id: str) -> ResponseReturnValue:
        """Into `collection`, or out of all if it is empty; then back to what was `shown`."""
        form = await visitors.checked_form()
        user = visitors.require_user()
        shown = await collecting.shown(user.id, form["shown"])
        try:
            await collecting.put(user.id, document_id, form["collection"] or None)
        except CollectionFull as error:
            return await shelf.page(shown, error=error, at="collections")
        return redirect(address(shown), 303)

    return blueprint
