"""POST /language: the reader's language, kept in a cookie."""

from __future__ import annotations

from quart import Blueprint, redirect
from quart.typing import ResponseReturnValue

from shared.errors import InputError
from web.forms import local_path
from web.visitor import Visitors
from web.words import LANGUAGES


def language_blueprint(visitors: Visitors) -> Blueprint:
    blueprint = Blueprint("language", __name__)

    @blueprint.post("/language")
    async def choose() -> ResponseReturnValue:
        form = await visitors.checked_form()
        if form["language"] not in LANGUAGES:
            raise InputError
        response = redirect(local_path(form["path"]) or "/", 303)
        visitors.language_cookie.write(response, form["language"])  # type: ignore[arg-type]  # werkzeug's will do
        return response

    return blueprint
