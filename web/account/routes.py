"""The page /account: name, password, second step, and where one is logged in."""

from __future__ import annotations

from quart import Blueprint, Response, redirect, request
from quart.typing import ResponseReturnValue

from shared.errors import AccessError, CodeWrong, InputError, LimitReached, NunmalError, SecondStepChanged
from web.account.devices import device_name
from web.auth.accounts import Accounts
from web.auth.clients import Clients
from web.auth.form_page import form_page
from web.auth.letters import AccountLetters
from web.auth.second_step import SecondStepService
from web.forms import Form, query_value
from web.visitor import Visitors

_REFUSED = (InputError, AccessError, LimitReached)
_DONE = {
    "name": "account.done_name",
    "password": "account.done_password",
    "session": "account.done_session",
    "others": "account.done_others",
    "off": "account.done_off",
    "agreed": "votes.done_agreed",
    "withdrawn": "votes.done_withdrawn",
}


def account_blueprint(
    accounts: Accounts, second_step: SecondStepService, visitors: Visitors, clients: Clients, letters: AccountLetters
) -> Blueprint:
    blueprint = Blueprint("account", __name__)

    def token() -> str:
        return visitors.session_cookie.read(request)

    def done(what: str) -> ResponseReturnValue:
        return redirect(f"/account?done={what}", 303)

    async def account_page(form: Form, error: NunmalError | None = None) -> Response:
        user, words = visitors.require_user(), visitors.current().words
        key = _DONE.get(query_value(request, "done")) if error is None else None
        sessions = await accounts.sessions(user, token())
        return await form_page(
            visitors,
            "account.html",
            form,
            error,
            done=words(key) if key else "",
            sessions=[(session, device_name(session.user_agent)) for session in sessions],
            codes_left=await second_step.codes_left(user),
        )

    @blueprint.get("/account")
    async def account() -> ResponseReturnValue:
        return await account_page(Form(name=visitors.require_user().name))

    @blueprint.post("/account/name")
    async def name() -> ResponseReturnValue:
        form, user = await visitors.checked_form(), visitors.require_user()
        try:
            await accounts.rename(user, form["name"])
        except InputError as error:
            return await account_page(form, error)
        return done("name")

    @blueprint.post("/account/training")
    async def training() -> ResponseReturnValue:
        """Whether a model may learn from this person's votes from now on."""
        form, user = await visitors.checked_form(), visitors.require_user()
        agrees = form["agrees"] == "1"
        await accounts.agree(user, agrees=agrees)
        return done("agreed" if agrees else "withdrawn")

    @blueprint.get("/account/password")
    async def password_page() -> ResponseReturnValue:
        visitors.require_user()
        return await form_page(visitors, "account_password.html", Form())

    @blueprint.post("/account/password")
    async def password() -> ResponseReturnValue:
        form, user = await visitors.checked_form(), visitors.require_user()
        try:
            await accounts.change_password(user, form["old_password"], form["password"], token(), clients.current())
        except _REFUSED as error:
            return await form_page(visitors, "account_password.html", form, error)
        words = visitors.current().words
        letters.tell(user, words, words("mail.notice_password"))
        response = Response(status=303, headers={"Location": "/account?done=password"})
        visitors.device_cookie.write(response, await accounts.device_cookie(user))
        return response

    @blueprint.post("/account/sessions/<session_id>/end")
    async def end_session(session_id: str) -> ResponseReturnValue:
        await visitors.checked_form()
        await accounts.end_session(visitors.require_user(), session_id)
        return done("session")

    @blueprint.post("/account/sessions/end")
    async def end_sessions() -> ResponseReturnValue:
        form, user = await visitors.checked_form(), visitors.require_user()
        match form["which"]:
            case "others":
                await accounts.end_other_sessions(user, token())
                return done("others")
            case "all":
                await accounts.end_all_sessions(user)
                response = Response(status=303, headers={"Location": "/login"})
                visitors.session_cookie.forget(response)
                return response
            case _:
                raise InputError

    async def second_step_page(form: Form, error: NunmalError | None = None) -> Response:
        codes_left = await second_step.codes_left(visitors.require_user())
        return await form_page(visitors, "second_step.html", form, error, codes_left=codes_left)

    @blueprint.get("/account/second-step")
    async def second_step_state() -> ResponseReturnValue:
        return await second_step_page(Form())

    @blueprint.post("/account/second-step")
    async def enrol() -> ResponseReturnValue:
        form, user = await visitors.checked_form(), visitors.require_user()
        if await second_step.codes_left(user) is not None:
            raise SecondStepChanged
        try:
            await accounts.require_password(user, form["old_password"], clients.current())
        except _REFUSED as error:
            return await second_step_page(form, error)
        return await form_page(visitors, "second_step_enrol.html", form, enrolment=second_step.enrol(user))

    @blueprint.post("/account/second-step/on")
    async def switch_on() -> ResponseReturnValue:
        form, user = await visitors.checked_form(), visitors.require_user()
        enrolment = second_step.enrolled(user, form["enrolment"])
        try:
            codes = await second_step.switch_on(user, enrolment.sealed, form["code"], clients.current().address)
        except (CodeWrong, LimitReached) as error:
            return await form_page(visitors, "second_step_enrol.html", form, error, enrolment=enrolment)
        await accounts.end_other_sessions(user, token())  # they came in by one step only
        words = visitors.current().words
        letters.tell(user, words, words("mail.notice_on"))
        return await form_page(visitors, "second_step_codes.html", form, codes=codes)

    @blueprint.post("/account/second-step/off")
    async def switch_off() -> ResponseReturnValue:
        """Needs the password and a code."""
        form, user, client = await visitors.checked_form(), visitors.require_user(), clients.current()
        if await second_step.codes_left(user) is None:
            raise SecondStepChanged
        try:
            await accounts.require_password(user, form["old_password"], client)
            await second_step.check(user, form["code"], client.address)
        except _REFUSED as error:
            return await second_step_page(form, error)
        await second_step.switch_off(user)
        await accounts.end_other_sessions(user, token())
        words = visitors.current().words
        letters.tell(user, words, words("mail.notice_off"))
        return done("off")

    return blueprint
