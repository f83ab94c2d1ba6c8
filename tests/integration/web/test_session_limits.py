"""How long log-ins last, and how little an old one is good for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from quart import Quart

from shared.chat import AccountRole
from shared.store import Store
from tests.web_visitor import PASSWORD, WebVisitor

_NEW = "아주 다른 비밀번호 둘"
_OWNER = {"email": "owner@example.com", "reason": "사용자가 도움을 청했습니다.", "minutes": "5"}


async def _logged_in(app: Quart, store: Store, role: AccountRole) -> WebVisitor:
    """In this role when they logged in."""
    visitor = WebVisitor(app)
    email = await visitor.sign_up()
    user = await store.users.by_email(email)
    assert user is not None
    await store.users.set_role(user.id, role)
    await visitor.post("/logout")
    await visitor.get("/login")
    assert (await visitor.post("/login", email=email, password=PASSWORD)).status_code == 303
    return visitor


async def _is_in(visitor: WebVisitor) -> bool:
    return (await visitor.client.get("/chat")).status_code == 200


async def test_an_operators_log_in_ends_after_half_an_hour_without_use(
    app: Quart, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, person = [await _logged_in(app, store, role) for role in (AccountRole.OPERATOR, AccountRole.USER)]
    begin = datetime.now(UTC).timestamp()
    for minutes in (25, 50):  # in use
        monkeypatch.setattr("shared.store.sessions.now", lambda minutes=minutes: begin + minutes * 60)
        assert await _is_in(operator)

    monkeypatch.setattr("shared.store.sessions.now", lambda: begin + (50 + 31) * 60)

    assert not await _is_in(operator)
    assert await _is_in(person)


async def test_an_operators_log_in_ends_after_twelve_hours_however_it_is_used(app: Quart, store: Store) -> None:
    for role, lifetime in ((AccountRole.OPERATOR, timedelta(hours=12)), (AccountRole.USER, timedelta(days=30))):
        await _logged_in(app, store, role)
        (row,) = await store.sessions._sessions.find({}).to_list(None)
        await store.sessions.revoke_all(row["user_id"])

        assert row["expires_at"] - row["created_at"] == lifetime


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/account/password", {"password": _NEW}),
        ("/account/second-step", {}),
        ("/account/second-step/off", {"code": "RECOVERY"}),
        ("/account/delete", {"code": "RECOVERY"}),
        ("/keys", {"name": "노트북", "expires_days": "30", "scope_chat": "on"}),
        ("/ops/access", {**_OWNER, "code": "RECOVERY"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_old_session_alone_does_nothing_grave(
    app: Quart, store: Store, path: str, fields: dict[str, str]
) -> None:
    """A new password, the second step, a key, leaving and break-glass need the password, whatever else is known."""
    visitor = await _logged_in(app, store, AccountRole.OPERATOR)
    codes = [] if path == "/account/second-step" else await visitor.switch_on_second_step()
    (session,) = await store.sessions._sessions.find({}).to_list(None)
    await store.sessions._sessions.delete_one({"_id": session["_id"]})
    await store.sessions._sessions.insert_one(session | {"created_at": datetime.now(UTC) - timedelta(hours=1)})
    await visitor.get("/account")
    given = {name: codes[0] if value == "RECOVERY" else value for name, value in fields.items()}

    for password in ("", "틀린 비밀번호예요 정말"):
        assert (await visitor.post(path, **given, old_password=password)).status_code == 403
        assert 'id="old_password-error" role="alert"' in visitor.page
    assert await _is_in(visitor)
