"""The page /keys: a person's API keys. A secret is shown once, in the answer to the form that made it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from quart import Blueprint, Response, redirect, render_template, request
from quart.typing import ResponseReturnValue

from shared.audit import AuditAction
from shared.chat import User
from shared.errors import (
    InputError,
    LimitReached,
    NameInvalid,
    NotFound,
    NunmalError,
    PasswordWrong,
    ScopesEmpty,
    TooManyKeys,
)
from shared.ids import is_id
from shared.scopes import SCOPES
from shared.store import Store
from web.auth.accounts import Accounts, normal_name
from web.auth.clients import Clients
from web.auth.letters import AccountLetters
from web.errors import page_after
from web.forms import Form
from web.visitor import Visitors

MOST_KEYS = 20
# What the form offers, and its sentences.
SCOPE_WORDS = {
    "chat": "keys.scope_chat",
    "completions": "keys.scope_completions",
    "models": "keys.scope_models",
    "jobs": "keys.scope_jobs",
    "documents": "keys.scope_documents",
    "adapters": "keys.scope_adapters",
    "digests": "keys.scope_digests",
}
EXPIRY_WORDS = {"30": "keys.days_30", "90": "keys.days_90", "365": "keys.days_365", "": "keys.days_any"}
_FRESH_FORM = Form({"expires_days": "90"} | {f"scope_{scope}": "on" for scope in SCOPES})


def keys_blueprint(
    store: Store, accounts: Accounts, visitors: Visitors, clients: Clients, letters: AccountLetters
) -> Blueprint:
    blueprint = Blueprint("keys", __name__, url_prefix="/keys")

    async def needs_password(user: User) -> bool:
        """A key outlives a log-in, so a session that somebody else may hold by now is not enough for one."""
        return not await accounts.has_just_logged_in(user, visitors.session_cookie.read(request))

    async def page(user: User, form: Form, error: NunmalError | None = None, secret: str = "") -> Response:
        """The list and the form; with a secret just made, or with the sentence beside the field that was refused."""
        body = await render_template(
            "keys.html",
            keys=await store.keys.of_user(user.id),
            secret=secret,
            needs_password=await needs_password(user),
            form=form,
            error_field=_field_of(error),
            error=visitors.current().words.explain(error) if error else "",
            scope_words=SCOPE_WORDS,
            expiry_words=EXPIRY_WORDS,
        )
        return page_after(body, error)

    async def made(user: User, form: Form) -> str:
        """The secret of the key that the form asks for. Raises InputError, PasswordWrong, TooManyTries."""
        name, scopes, expires_at = normal_name(form["name"]), _scopes(form), _expires_at(form)
        if len(await store.keys.of_user(user.id)) >= MOST_KEYS:
            raise TooManyKeys(limit=MOST_KEYS)
        if await needs_password(user):
            await accounts.require_password(user, form["old_password"], clients.current())
        key, secret = await store.keys.create(user.id, name, scopes, expires_at)
        await store.audit.append(user.id, AuditAction.KEY_MADE, key.id, owner=user.id, scopes=",".join(scopes))
        words = visitors.current().words
        letters.tell(user, words, words("mail.notice_key"))
        return secret

    @blueprint.get("")
    async def show() -> ResponseReturnValue:
        return await page(visitors.require_user(), _FRESH_FORM)

    @blueprint.post("")
    async def create() -> ResponseReturnValue:
        user = visitors.require_user()
        form = await visitors.checked_form()
        try:
            return await page(user, _FRESH_FORM, secret=await made(user, form))
        except (InputError, PasswordWrong, LimitReached) as error:
            return await page(user, form, error)

    @blueprint.post("/<key_id>/revoke")
    async def revoke(key_id: str) -> ResponseReturnValue:
        user = visitors.require_user()
        await visitors.checked_form()
        if not is_id(key_id) or not await store.keys.revoke(key_id, user.id):
            raise NotFound
        await store.audit.append(user.id, AuditAction.KEY_REVOKED, key_id, owner=user.id)
        return redirect("/keys", 303)

    return blueprint


def _scopes(form: Form) -> list[str]:
    """Raises ScopesEmpty."""
    if chosen := sorted(scope for scope in SCOPES if form[f"scope_{scope}"]):
        return chosen
    raise ScopesEmpty


def _expires_at(form: Form) -> datetime | None:
    """Raises InputError for a time that the form does not offer."""
    days = form["expires_days"]
    if days not in EXPIRY_WORDS:
        raise InputError
    return datetime.now(UTC) + timedelta(days=int(days)) if days else None


def _field_of(error: NunmalError | None) -> str:
    match error:
        case None:
            return ""
        case NameInvalid():
            return "name"
        case ScopesEmpty():
            return "scopes"
        case PasswordWrong():
            return "old_password"
        case _:
            return "form"
