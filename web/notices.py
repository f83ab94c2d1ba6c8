"""What people are told about their account: who was let in to read their conversations, when and why.

A notice stands on the chat page until it is put away; /notices keeps them all.
"""

from __future__ import annotations

from quart import Blueprint, redirect, render_template
from quart.typing import ResponseReturnValue

from shared.errors import NotFound
from shared.ids import is_id
from shared.store import Store
from shared.store.grants import Grant
from web.visitor import Visitors


class Notices:
    """Asked by the template of the chat page, so that no other page pays for it."""

    def __init__(self, store: Store, visitors: Visitors) -> None:
        self._store = store
        self._visitors = visitors

    async def __call__(self) -> list[Grant]:
        """What the visitor has not put away yet, the last first."""
        user = self._visitors.current().user
        return await self._store.grants.not_dismissed(user.id) if user else []


def notices_blueprint(store: Store, visitors: Visitors) -> Blueprint:
    blueprint = Blueprint("notices", __name__, url_prefix="/notices")

    @blueprint.get("")
    async def show() -> ResponseReturnValue:
        user = visitors.require_user()
        return await render_template("notices.html", grants=await store.grants.of_owner(user.id))

    @blueprint.post("/<grant_id>/dismiss")
    async def dismiss(grant_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        await visitors.checked_form()
        if not is_id(grant_id) or not await store.grants.dismiss(grant_id, user.id):
            raise NotFound
        return redirect("/chat", 303)

    return blueprint
