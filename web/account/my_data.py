"""The pages under /account where people take their data with them, and leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from quart import Blueprint, Response, redirect, render_template, request
from quart.typing import ResponseReturnValue

from shared.errors import CodeWrong, LimitReached, NunmalError, PasswordWrong
from shared.store import Store
from web.account.deletion import AccountDeletion
from web.account.download import download
from web.auth.clients import Clients
from web.auth.form_page import form_page
from web.auth.letters import AccountLetters
from web.auth.second_step import SecondStepService
from web.auth.throttling import Throttling
from web.forms import Form
from web.visitor import Visitors

_DOWNLOADS = "download"


def my_data_blueprint(
    store: Store,
    deletion: AccountDeletion,
    second_step: SecondStepService,
    throttling: Throttling,
    visitors: Visitors,
    clients: Clients,
    letters: AccountLetters,
) -> Blueprint:
    blueprint = Blueprint("my_data", __name__, url_prefix="/account")

    @blueprint.post("/download")
    async def take_along() -> ResponseReturnValue:
        """Each download reads all a person has, so the many of one person are throttled like their tries to log in."""
        await visitors.checked_form()
        user, token = visitors.require_user(), visitors.session_cookie.read(request)
        await throttling.begin(_DOWNLOADS, user.id, clients.current().address)

        async def body() -> AsyncIterator[bytes]:
            async for piece in download(store, user, token):
                yield piece.encode()

        response = Response(body(), content_type="application/json; charset=utf-8")
        name = f"nunmal-{datetime.now(UTC):%Y-%m-%d}.json"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        response.timeout = None  # however slow the connection is
        return response

    async def delete_page(form: Form, error: NunmalError | None = None) -> Response:
        has_code = await second_step.codes_left(visitors.require_user()) is not None
        return await form_page(visitors, "account_delete.html", form, error, has_code=has_code)

    @blueprint.get("/delete")
    async def confirm() -> ResponseReturnValue:
        return await delete_page(Form())

    @blueprint.post("/delete")
    async def delete() -> ResponseReturnValue:
        form, user = await visitors.checked_form(), visitors.require_user()
        try:
            await deletion.delete(user, form["old_password"], form["code"], clients.current())
        except (PasswordWrong, CodeWrong, LimitReached) as error:
            return await delete_page(form, error)
        letters.farewell(user, visitors.current().words)
        response = Response(status=303, headers={"Location": "/account/deleted"})
        visitors.session_cookie.forget(response)
        return response

    @blueprint.get("/deleted")
    async def deleted() -> ResponseReturnValue:
        if visitors.current().user is not None:
            return redirect("/account", 303)
        return await render_template("account_deleted.html")

    return blueprint
