"""The page /keys: made once, shown once, revoked by their owner only."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from quart import Quart

from infra.audit import verified
from shared.broker.memory import MemoryBroker
from shared.scopes import SCOPES
from shared.store import Store
from shared.store.keys import ApiKey
from tests.smtp_server import smtp_server
from tests.web_visitor import PASSWORD, WebVisitor, web_settings
from web.app import create_app
from web.keys import EXPIRY_WORDS, MOST_KEYS, SCOPE_WORDS

_ALL_SCOPES = {f"scope_{scope}": "on" for scope in SCOPES}


async def _made(person: WebVisitor, store: Store, **changes: str) -> tuple[str, ApiKey]:
    """The secret that the page shows, and its key."""
    await person.get("/keys")
    response = await person.post("/keys", **({"name": "노트북", "expires_days": "90"} | _ALL_SCOPES | changes))
    assert response.status_code == 200, person.page
    found = re.search(r'value="(sk-nunmal-[^"]+)"', person.page)
    assert found
    key = await store.keys.authenticate(found[1])
    assert key is not None
    return found[1], key


def test_the_form_offers_every_scope_there_is() -> None:
    assert set(SCOPE_WORDS) == set(SCOPES)
    assert all(days.isdecimal() or not days for days in EXPIRY_WORDS)


async def test_the_secret_is_shown_once_and_can_be_kept_without_scripts(person: WebVisitor, store: Store) -> None:
    secret, key = await _made(person, store)

    assert person.page.count(secret) == 2
    assert f'download="nunmal-key.txt" href="data:text/plain,{secret}"' in person.page
    assert key.scopes == set(SCOPES)
    assert key.expires_at is not None
    assert timedelta(days=89) < key.expires_at - datetime.now(UTC) < timedelta(days=91)

    await person.get("/keys")
    assert secret not in person.page
    assert f"sk-…{key.hint}" in person.page
    assert "노트북" in person.page


async def test_a_key_may_do_what_was_chosen(person: WebVisitor, store: Store) -> None:
    chosen = {f"scope_{scope}": "" for scope in SCOPES} | {"scope_chat": "on", "expires_days": ""}

    _, key = await _made(person, store, **chosen)

    assert key.scopes == {"chat"}
    assert key.expires_at is None


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"name": ""}, 422, "이름은 1자에서"),
        ({"name": "가" * 41}, 422, "이름은 1자에서"),
        ({f"scope_{scope}": "" for scope in SCOPES}, 422, "하나 이상"),
        ({"expires_days": "99999999999"}, 422, "읽지 못했어요"),
        ({"expires_days": "-1"}, 422, "읽지 못했어요"),
    ],
)
async def test_a_refused_form_says_why_and_keeps_what_was_chosen(
    person: WebVisitor, store: Store, fields: dict[str, str], status: int, sentence: str
) -> None:
    await person.get("/keys")
    given = {"name": "노트북", "expires_days": "30", "scope_chat": "on"} | fields
    response = await person.post("/keys", **given)

    assert response.status_code == status
    assert re.search(rf'role="alert">[^<]*{sentence}', person.page)
    assert ('value="30" selected' in person.page) == (given["expires_days"] == "30")
    assert await store.keys._keys.count_documents({}) == 0


async def test_an_account_has_so_many_keys_and_no_more(person: WebVisitor, store: Store) -> None:
    _, key = await _made(person, store)
    for _ in range(MOST_KEYS - 1):
        await store.keys.create(key.user_id)

    response = await person.post("/keys", name="하나 더", expires_days="", scope_chat="on")

    assert response.status_code == 422
    assert f"{MOST_KEYS}개까지" in person.page


async def test_a_key_of_an_older_log_in_needs_the_password(person: WebVisitor, store: Store) -> None:
    await person.get("/keys")
    assert 'name="old_password"' not in person.page
    (session,) = await store.sessions._sessions.find({}).to_list(None)
    await store.sessions._sessions.delete_one({"_id": session["_id"]})
    await store.sessions._sessions.insert_one(session | {"created_at": datetime.now(UTC) - timedelta(hours=1)})
    given = {"name": "노트북", "expires_days": "30", "scope_chat": "on"}

    for password in ("", "틀린 비밀번호예요 정말"):
        await person.get("/keys")
        assert 'name="old_password"' in person.page
        assert (await person.post("/keys", **given, old_password=password)).status_code == 403
        assert 'id="old_password-error" role="alert"' in person.page
    assert await store.keys._keys.count_documents({}) == 0

    assert (await person.post("/keys", **given, old_password=PASSWORD)).status_code == 200
    assert await store.keys._keys.count_documents({}) == 1


async def test_the_owner_gets_a_letter_for_each_new_key(store: Store, memory_broker: MemoryBroker) -> None:
    async with smtp_server() as smtp:
        mail = {"url": f"smtp://127.0.0.1:{smtp.port}?from=nunmal@nunmal.example&tls=none"}
        web = {"bcrypt_rounds": 4, "public_url": "https://nunmal.example"}
        app = create_app(web_settings(web=web, mail=mail), memory_broker, store, node_id="node")
        async with app.test_app():
            person = WebVisitor(app)
            email = await person.sign_up()
            secret, _ = await _made(person, store)
            letter = await smtp.letter()

    assert letter["To"] == email
    assert "새 API 키가 만들어졌어요" in letter.get_content()
    assert secret not in letter.as_string()


async def test_a_revoked_key_is_gone(person: WebVisitor, store: Store) -> None:
    secret, key = await _made(person, store)

    response = await person.post(f"/keys/{key.id}/revoke")

    assert (response.status_code, response.location) == (303, "/keys")
    assert await store.keys.authenticate(secret) is None
    assert (await person.post(f"/keys/{key.id}/revoke")).status_code == 404


async def test_a_foreign_key_looks_like_an_unknown_one(app: Quart, person: WebVisitor, store: Store) -> None:
    secret, key = await _made(person, store)
    other = WebVisitor(app)
    await other.sign_up("박바다")

    await other.get("/keys")
    assert key.id not in other.page
    for key_id in (key.id, "not-an-id"):
        assert (await other.post(f"/keys/{key_id}/revoke")).status_code == 404
    assert await store.keys.authenticate(secret) == key


async def test_nothing_changes_without_the_pages_token(person: WebVisitor, store: Store) -> None:
    secret, key = await _made(person, store)

    assert (await person.post("/keys", csrf_token="x", name="가", scope_chat="on")).status_code == 403
    assert (await person.post(f"/keys/{key.id}/revoke", csrf_token="x")).status_code == 403
    assert await store.keys.authenticate(secret) == key


async def test_making_and_revoking_is_audited_without_names_and_secrets(person: WebVisitor, store: Store) -> None:
    secret, key = await _made(person, store, name="비밀 이름")
    await person.post(f"/keys/{key.id}/revoke")

    made, revoked = await store.audit.last(10)

    assert (made["actor"], made["action"], made["target"]) == (key.user_id, "key_made", key.id)
    assert (revoked["actor"], revoked["action"], revoked["target"]) == (key.user_id, "key_revoked", key.id)
    assert "비밀" not in repr([made, revoked])
    assert secret[10:-4] not in repr([made, revoked])
    assert (await verified(store)).number == 2


async def test_a_name_is_never_markup(person: WebVisitor, store: Store) -> None:
    await _made(person, store, name="<script>alert(1)</script>")

    assert "<script>alert" not in person.page
    assert "&lt;script&gt;alert(1)" in person.page


async def test_who_is_not_logged_in_has_no_keys(visitor: WebVisitor) -> None:
    response = await visitor.get("/keys")

    assert (response.status_code, response.location) == (303, "/login?next=/keys")
    assert (await visitor.post("/keys", name="가", scope_chat="on")).status_code == 401
