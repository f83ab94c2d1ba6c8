"""The page /comparisons, for researchers and operators: what people are asked to compare, and what they said."""

from __future__ import annotations

from quart import Blueprint, Response, redirect, render_template
from quart.typing import ResponseReturnValue

from shared.chat import AccountRole, User
from shared.errors import InputError, NotFound, NunmalError
from shared.store import Store
from web.comparing.service import Comparing
from web.comparing.win_rates import win_rates
from web.errors import page_after
from web.visitor import Visitors

PATH = "/comparisons"


def comparisons_blueprint(comparing: Comparing, store: Store, visitors: Visitors) -> Blueprint:
    blueprint = Blueprint("comparisons", __name__, url_prefix=PATH)

    def researcher() -> User:
        return visitors.require_role(AccountRole.RESEARCHER, AccountRole.OPERATOR)

    async def page(error: NunmalError | None = None, one: str = "", other: str = "") -> Response:
        words = visitors.current().words
        body = await render_template(
            "comparisons.html",
            versions=[each.id for each in reversed(await store.adapters.versions()) if each.has_files],
            offered=await store.pairings.offered(),
            rates=win_rates(await store.comparisons.chosen()),
            counts=await store.votes.counts(),
            one=one,
            other=other,
            error=words.explain(error) if error else "",
        )
        return page_after(body, error)

    @blueprint.get("")
    async def show() -> ResponseReturnValue:
        researcher()
        return await page()

    @blueprint.post("")
    async def offer() -> ResponseReturnValue:
        user, form = researcher(), await visitors.checked_form()
        try:
            await comparing.offer(user, form["one"] or None, form["other"] or None)
        except InputError as error:
            return await page(error, form["one"], form["other"])
        return redirect(PATH, 303)

    @blueprint.post("/<pairing_id>/close")
    async def close(pairing_id: str) -> ResponseReturnValue:
        researcher()
        await visitors.checked_form()
        if not await store.pairings.close(pairing_id):
            raise NotFound
        return redirect(PATH, 303)

    return blueprint
