"""The pages /signup, /login and /logout."""

from __future__ import annotations

from quart import Blueprint, Response, redirect, render_template, request
from quart.typing import ResponseReturnValue

from shared.chat import User
from shared.errors import AccessError, EmailInvalid, EmailTaken, InputError, LoginFailed, NameInvalid, NunmalError
from web.auth.accounts import Accounts
from web.errors import status_of
from web.forms import Form, local_path, query_value
from web.visitor import Visitors

_HOME = "/chat"


def auth_blueprint(accounts: Accounts, visitors: Visitors) -> Blueprint:
    blueprint = Blueprint("auth", __name__)

    async def form_page(template: str, form: Form, error: NunmalError | None = None) -> Response:
        """The form, with what was typed (never the password) and the sentence beside its field."""
        sentence = visitors.current().words.explain(error) if error else ""
        body = await render_template(template, form=form, error_field=_field_of(error), error=sentence)
        status = status_of(error) if error else 200
        return Response(body, status=status, content_type="text/html; charset=utf-8")

    async def welcome(user: User, path: str) -> ResponseReturnValue:
        token = await accounts.open_session(user, replacing=visitors.session_cookie.read(request))
        visitors.current().user = user
        response = redirect(local_path(path) or _HOME, 303)
        visitors.session_cookie.write(response, token)  # type: ignore[arg-type]  # werkzeug's response will do
        visitors.visitor_cookie.forget(response)  # type: ignore[arg-type]
        return response

    @blueprint.get("/signup")
    async def signup_page() -> ResponseReturnValue:
        if visitors.current().user:
            return redirect(_HOME, 303)
        return await form_page("signup.html", Form())

    @blueprint.post("/signup")
    async def signup() -> ResponseReturnValue:
        form = await visitors.checked_form()
        try:
            user = await accounts.sign_up(form["email"], form["name"], form["password"])
        except InputError as error:
            return await form_page("signup.html", form, error)
        return await welcome(user, _HOME)

    @blueprint.get("/login")
    async def login_page() -> ResponseReturnValue:
        path = local_path(query_value(request, "next"))
        if visitors.current().user:
            return redirect(path or _HOME, 303)
        return await form_page("login.html", Form(next=path))

    @blueprint.post("/login")
    async def login() -> ResponseReturnValue:
        form = await visitors.checked_form()
        form["next"] = local_path(form["next"])
        try:
            user = await accounts.log_in(form["email"], form["password"])
        except (InputError, AccessError) as error:
            return await form_page("login.html", form, error)
        return await welcome(user, form["next"])

    @blueprint.get("/logout")
    async def logout_page() -> ResponseReturnValue:
        if visitors.current().user is None:
            return redirect("/login", 303)
        return await render_template("logout.html")

    @blueprint.post("/logout")
    async def logout() -> ResponseReturnValue:
        await visitors.checked_form()
        if visitors.current().user is not None:
            await accounts.close_session(visitors.session_cookie.read(request))
        response = redirect("/login", 303)
        visitors.session_cookie.forget(response)  # type: ignore[arg-type]  # werkzeug's response will do
        return response

    return blueprint


def _field_of(error: NunmalError | None) -> str:
    match error:
        case None:
            return ""
        case EmailInvalid() | EmailTaken():
            return "email"
        case NameInvalid():
            return "name"
        case LoginFailed():
            return "form"
        case _:
            return "password"
