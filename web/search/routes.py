"""GET /search?q=: one's own conversations by their words."""

from __future__ import annotations

from urllib.parse import quote

from quart import Blueprint, render_template, request
from quart.typing import ResponseReturnValue

from shared.errors import InputError, NunmalError
from shared.organising_errors import SearchUnavailable
from web.errors import page_after
from web.forms import query_value
from web.search.query import MOST_CHARACTERS
from web.search.service import MOST_TURNS, Results, SearchService
from web.visitor import Visitors

_MOST_PAGES = 1000


def search_blueprint(service: SearchService, visitors: Visitors) -> Blueprint:
    blueprint = Blueprint("search", __name__)

    @blueprint.get("/search")
    async def search() -> ResponseReturnValue:
        user, words = visitors.require_user(), visitors.current().words
        text, page = query_value(request, "q"), page_number(query_value(request, "page"))
        results: Results | None = None
        error: NunmalError | None = None
        try:
            results = await service.find(user, text, page)
        except (InputError, SearchUnavailable) as refused:
            error = refused
        body = await render_template(
            "search.html",
            q=text,
            results=results,
            page=page,
            pages=results.pages if results else 0,
            page_path=f"/search?q={quote(text)}&page=",
            most_turns=MOST_TURNS,
            most_characters=MOST_CHARACTERS,
            error=words.explain(error) if error else "",
        )
        return page_after(body, error)

    return blueprint


def page_number(text: str) -> int:
    """From 1; what is no number is the first."""
    return min(max(int(text), 1), _MOST_PAGES) if text.isascii() and text.isdecimal() else 1
