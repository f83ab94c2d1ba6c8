"""The pages /signup, /login (and its second step), /logout and /reset."""

from __future__ import annotations

from quart import Blueprint, Response, redirect, render_template, request
from quart.typing import ResponseReturnValue

from shared.chat import User
from shared.errors import AccessError, CodeWrong, InputError, LimitReached, LinkEnded
from web.auth.accounts import Accounts
from web.auth.clients import Clients
from web.auth.form_page import form_page
from web.auth.reset_links import ResetLinks, SecondStepAfter
from web.forms import Form, local_path, query_value
from web.security import Cookie
from web.visitor import Visitors

_HOME = "/chat"
_HALF_WAY_S = 300
_RESET_WORDS = {
    SecondStepAfter.NONE: "reset.done",
    SecondStepAfter.KEPT: "reset.done_kept",
    SecondStepAfter.REMOVED: "reset.done_removed",
}
_DONE = {f"reset-{effect}": key for effect, key in _RESET_WORDS.items()}
_REFUSED = (InputError, AccessError, LimitReached)


def auth_blueprint(
    accounts: Accounts, resets: ResetLinks, visitors: Visitors, clients: Clients, *, can_mail: bool
) -> Blueprint:
    """`can_mail`: people can have a reset link sent; else the page names the operator."""
    blueprint = Blueprint("auth", __name__)
    half_way_cookie = Cookie("nunmal_half_way", visitors.session_cookie.secure, _HALF_WAY_S)

    async def welcome(user: User, path: str) -> Response:
        token = await accounts.open_session(user, visitors.session_cookie.read(request), clients.current())
        visitors.current().user = user
        response = _redirect(local_path(path) or _HOME)
        visitors.session_cookie.write(response, token)
        visitors.visitor_cookie.forget(response)
        visitors.device_cookie.write(response, await accounts.device_cookie(user))
        return response

    @blueprint.after_request
    async def keep_links_here(response: Response) -> Response:
        if request.path.startswith("/reset/"):  # a link's address is a secret until it is used
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @blueprint.get("/signup")
    async def signup_page() -> ResponseReturnValue:
        if visitors.current().user:
            return redirect(_HOME, 303)
        return await form_page(visitors, "signup.html", Form())

    @blueprint.post("/signup")
    async def signup() -> ResponseReturnValue:
        form = await visitors.checked_form()
        try:
            user = await accounts.sign_up(form["email"], form["name"], form["password"], clients.current())
        except (InputError, LimitReached) as error:
            return await form_page(visitors, "signup.html", form, error)
        return await welcome(user, _HOME)

    @blueprint.get("/login")
    async def login_page() -> ResponseReturnValue:
        path = local_path(query_value(request, "next"))
        if visitors.current().user:
            return redirect(path or _HOME, 303)
        key = _DONE.get(query_value(request, "done"))
        done = visitors.current().words(key) if key else ""
        return await form_page(visitors, "login.html", Form(next=path), done=done)

    @blueprint.post("/login")
    async def login() -> ResponseReturnValue:
        form = await visitors.checked_form()
        form["next"] = local_path(form["next"])
        try:
            log_in = await accounts.log_in(form["email"], form["password"], clients.current())
        except _REFUSED as error:
            return await form_page(visitors, "login.html", form, error)
        if not log_in.half_way:
            return await welcome(log_in.user, form["next"])
        response = await form_page(visitors, "login_code.html", form)
        half_way_cookie.write(response, log_in.half_way)
        return response

    @blueprint.post("/login/code")
    async def login_code() -> ResponseReturnValue:
        form = await visitors.checked_form()
        form["next"] = local_path(form["next"])
        try:
            user = await accounts.finish_log_in(half_way_cookie.read(request), form["code"], clients.current())
        except LinkEnded:
            return redirect("/login", 303)
        except (CodeWrong, LimitReached) as error:
            return await form_page(visitors, "login_code.html", form, error)
        response = await welcome(user, form["next"])
        half_way_cookie.forget(response)
        return response

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
        response = _redirect("/login")
        visitors.session_cookie.forget(response)
        return response

    @blueprint.get("/reset")
    async def reset_page() -> ResponseReturnValue:
        return await form_page(visitors, "reset.html", Form(), can_mail=can_mail)

    @blueprint.post("/reset")
    async def reset() -> ResponseReturnValue:
        form = await visitors.checked_form()
        if not can_mail:
            return redirect("/reset", 303)
        try:
            await resets.ask(form["email"], clients.current(), visitors.current().words)
        except (InputError, LimitReached) as error:
            return await form_page(visitors, "reset.html", form, error, can_mail=True)
        return await form_page(visitors, "reset.html", form, can_mail=True, is_sent=True)

    @blueprint.get("/reset/<token>")
    async def choose_page(token: str) -> ResponseReturnValue:
        effect = await resets.check(token)
        return await form_page(visitors, "reset_choose.html", Form(), token=token, second_step=effect)

    @blueprint.post("/reset/<token>")
    async def choose(token: str) -> ResponseReturnValue:
        form = await visitors.checked_form()
        try:
            effect = await resets.choose(token, form["password"], visitors.current().words)
        except InputError as error:
            effect = await resets.check(token)
            return await form_page(visitors, "reset_choose.html", form, error, token=token, second_step=effect)
        response = _redirect(f"/login?done=reset-{effect}")
        visitors.session_cookie.forget(response)
        return response

    return blueprint


def _redirect(path: str) -> Response:
    return Response(status=303, headers={"Location": path})
