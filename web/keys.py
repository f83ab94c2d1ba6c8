"""The page /keys: a person's API keys. A secret is shown once, in the answer to the form that made it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from quart import Blueprint, Response, redirect, render_template
from quart.typing import ResponseReturnValue

from shared.audit import AuditAction
from shared.chat import User
from shared.errors import InputError, NameInvalid, NotFound, ScopesEmpty, TooManyKeys
from shared.ids import is_id
from shared.store import Store
from shared.store.keys import SCOPES
from web.auth.accounts import normal_name
from web.errors import status_of
from web.forms import Form
from web.visitor import Visitors

MOST_KEYS = 20
# What the form offers, and its sentences.
SCOPE_WORDS = {
    "chat": "keys.scope_chat",
    "completions": "keys.scope_completions",
    "models": "keys.scope_models",
    "jobs": "keys.scope_jobs",
}
EXPIRY_WORDS = {"30": "keys.days_30", "90": "keys.days_90", "365": "keys.days_365", "": "keys.days_any"}
_FRESH_FORM = Form({"expires_days": "90"} | {f"scope_{scope}": "on" for scope in SCOPES})


def keys_blueprint(store: Store, visitors: Visitors) -> Blueprint:
    blueprint = Blueprint("keys", __name__, url_prefix="/keys")

    async def page(user: User, form: Form, error: InputError | None = None, secret: str = "") -> Response:
        """The list and the form; with a secret just made, or with the sentence beside the field that was refused."""
        body = await render_template(
            "keys.html",
            keys=await store.keys.of_user(user.id),
            secret=secret,
            form=form,
            error_field=_field_of(error),
            error=visitors.current().words.explain(error) if error else "",
            scope_words=SCOPE_WORDS,
            expiry_words=EXPIRY_WORDS,
        )
        status = status_of(error) if error else 200
        return Response(body, status=status, content_type="text/html; charset=utf-8")

    async def made(user: User, form: Form) -> str:
        """The secret of the key that the form asks for. Raises InputError."""
        name, scopes, expires_at = normal_name(form["name"]), _scopes(form), _expires_at(form)
        if len(await store.keys.of_user(user.id)) >= MOST_KEYS:
            raise TooManyKeys(limit=MOST_KEYS)
        key, secret = await store.keys.create(user.id, name, scopes, expires_at)
        await store.audit.append(user.id, AuditAction.KEY_MADE, key.id, owner=user.id, scopes=",".join(scopes))
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
        except InputError as error:
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


def _field_of(error: InputError | None) -> str:
    match error:
        case None:
            return ""
        case NameInvalid():
            return "name"
        case ScopesEmpty():
            return "scopes"
        case _:
            return "form"
