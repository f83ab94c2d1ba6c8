"""The pages under /ops/access, for operators only: to everybody else they are not there."""

from __future__ import annotations

from quart import Blueprint, Response, redirect, render_template
from quart.typing import ResponseReturnValue

from shared.chat import User
from shared.errors import (
    AccountUnknown,
    CodeWrong,
    InputError,
    LimitReached,
    NunmalError,
    PasswordWrong,
    ReasonInvalid,
)
from web.auth.clients import Clients
from web.chat.transcript import Transcripts
from web.errors import page_after
from web.forms import Form
from web.operators.access import LEAST_REASON_CHARACTERS, MINUTES, MOST_REASON_CHARACTERS, Access, Proof
from web.operators.gate import operators_only
from web.visitor import Visitors

_FRESH_FORM = Form(minutes=str(MINUTES[0]))


def access_blueprint(access: Access, transcripts: Transcripts, visitors: Visitors, clients: Clients) -> Blueprint:
    blueprint = Blueprint("access", __name__, url_prefix="/ops/access")

    operator = operators_only(blueprint, access, visitors)

    async def page(user: User, form: Form, error: NunmalError | None = None) -> Response:
        body = await render_template(
            "access.html",
            grants=await access.of(user),
            form=form,
            minutes=MINUTES,
            least_reason_characters=LEAST_REASON_CHARACTERS,
            most_reason_characters=MOST_REASON_CHARACTERS,
            error_field=_field_of(error),
            error=visitors.current().words.explain(error) if error else "",
        )
        return page_after(body, error)

    @blueprint.get("")
    async def show() -> ResponseReturnValue:
        return await page(await operator(), _FRESH_FORM)

    @blueprint.post("")
    async def begin() -> ResponseReturnValue:
        user = await operator()
        form = await visitors.checked_form()
        proof = Proof(form["old_password"], form["code"], clients.current())
        try:
            grant = await access.begin(user, form["email"], form["reason"], form["minutes"], proof)
        except (InputError, PasswordWrong, CodeWrong, LimitReached) as error:
            return await page(user, form, error)
        return redirect(f"/ops/access/{grant.id}", 303)

    @blueprint.get("/<grant_id>")
    async def conversations(grant_id: str) -> ResponseReturnValue:
        opened, found = await access.conversations(await operator(), grant_id)
        return await render_template("access_list.html", opened=opened, conversations=found)

    @blueprint.post("/<grant_id>/end")
    async def end(grant_id: str) -> ResponseReturnValue:
        user = await operator()
        await visitors.checked_form()
        await access.end(user, grant_id)
        return redirect("/ops/access", 303)

    @blueprint.get("/<grant_id>/<conversation_id>")
    async def read(grant_id: str, conversation_id: str) -> ResponseReturnValue:
        opened, conversation = await access.read(await operator(), grant_id, conversation_id)
        turns = await transcripts.of(conversation.turns, visitors.current().words)
        return await render_template(
            "access_read.html", opened=opened, conversation=conversation.conversation, turns=turns
        )

    return blueprint


def _field_of(error: NunmalError | None) -> str:
    match error:
        case None:
            return ""
        case AccountUnknown():
            return "email"
        case ReasonInvalid():
            return "reason"
        case PasswordWrong():
            return "old_password"
        case CodeWrong():
            return "code"
        case _:
            return "form"
