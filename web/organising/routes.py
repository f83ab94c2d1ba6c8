"""The pages under /library: all of one's conversations, to tag and remove."""

from __future__ import annotations

from urllib.parse import urlencode

from quart import Blueprint, Response, redirect, render_template, request
from quart.typing import ResponseReturnValue

from shared.errors import InputError, NunmalError
from shared.store import Store
from web.errors import page_after
from web.forms import Form, query_value
from web.organising.exporting import json_of
from web.organising.file_routes import attachment
from web.organising.service import MOST_TAG_CHARACTERS, LibraryService
from web.search.routes import page_number
from web.visitor import Visitors

_CHOSEN = "conversation"


def library_blueprint(store: Store, library: LibraryService, visitors: Visitors) -> Blueprint:
    blueprint = Blueprint("library", __name__, url_prefix="/library")

    async def shelf_page(tag: str, page: int, form: Form, error: NunmalError | None = None) -> Response:
        """After a refusal with what was ticked and typed."""
        user, words = visitors.require_user(), visitors.current().words
        body = await render_template(
            "library.html",
            shelf=await library.shelf(user, tag, page),
            tag=tag,
            page=page,
            page_path=f"/library?{urlencode({'tag': tag})}&page=",
            chosen=form.every(_CHOSEN),
            typed=form["typed"],
            most_tag_characters=MOST_TAG_CHARACTERS,
            error=words.explain(error) if error else "",
        )
        return page_after(body, error)

    @blueprint.get("")
    async def shelf() -> ResponseReturnValue:
        return await shelf_page(query_value(request, "tag"), page_number(query_value(request, "page")), Form())

    @blueprint.post("")
    async def arrange() -> ResponseReturnValue:
        """Tag the ticked ones, take a tag off them, give them as a file, or ask whether they shall go."""
        form, user = await visitors.checked_form(), visitors.require_user()
        chosen, tag, page = form.every(_CHOSEN), form["tag"], page_number(form["page"])
        try:
            match form["do"]:
                case "tag":
                    await library.tag(user, chosen, form["typed"])
                case "untag":
                    await library.untag(user, chosen, form["typed"])
                case "export":
                    going = await library.chosen(user, chosen)
                    return attachment(await json_of(store, user, going), "application/json", going[0], "json")
                case "delete":
                    going = await library.chosen(user, chosen)
                    return await render_template("library_delete.html", conversations=going)
                case _:
                    raise InputError
        except InputError as error:
            return await shelf_page(tag, page, form, error)
        return redirect(f"/library?{urlencode({'tag': tag, 'page': page})}", 303)

    @blueprint.post("/delete")
    async def delete() -> ResponseReturnValue:
        form, user = await visitors.checked_form(), visitors.require_user()
        await library.delete(user, form.every(_CHOSEN))
        return redirect("/library", 303)

    return blueprint
