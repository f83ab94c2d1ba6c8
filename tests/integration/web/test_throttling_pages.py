"""Who guesses has to wait, at every node, with the right password too; others do not notice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.store import Store
from tests.web_visitor import PASSWORD, WebVisitor, web_settings
from web.app import create_app

_WRONG = "틀린 비밀번호예요 정말"


@pytest.fixture
async def other_app(app: Quart, store: Store, memory_broker: MemoryBroker) -> AsyncIterator[Quart]:
    """A second node over the same store."""
    other = create_app(web_settings(), memory_broker, store, node_id="other")
    async with other.test_app():
        yield other


async def _log_in(app: Quart, email: str, password: str) -> tuple[int, str, str | None]:
    visitor = WebVisitor(app)
    await visitor.get("/login")
    response = await visitor.post("/login", email=email, password=password)
    return response.status_code, visitor.page, response.headers.get("Retry-After")


async def test_after_five_failures_at_two_nodes_even_the_right_password_waits(app: Quart, other_app: Quart) -> None:
    email = await WebVisitor(app).sign_up()
    failures = [await _log_in([app, other_app][number % 2], email, _WRONG) for number in range(5)]

    status, page, retry_after = await _log_in(other_app, email, PASSWORD)

    assert [failure[0] for failure in failures] == [401] * 5
    assert status == 429
    assert retry_after in ("4", "5")
    assert re.search(rf'role="alert">여러 번 시도하셔서 잠시 쉬어 갈게요. 약 {retry_after}초 뒤에', page)
    assert PASSWORD not in page


async def test_an_unknown_account_is_throttled_like_a_known_one(app: Quart) -> None:
    known = await WebVisitor(app).sign_up()
    for email in (known, "nobody@example.com", "nonsense"):
        statuses = [(await _log_in(app, email, _WRONG))[0] for _ in range(6)]
        assert statuses == [401] * 5 + [429]


async def test_guesses_at_the_same_moment_are_all_counted(app: Quart, other_app: Quart) -> None:
    email = await WebVisitor(app).sign_up()

    tries = await asyncio.gather(*(_log_in([app, other_app][number % 2], email, _WRONG) for number in range(16)))

    statuses = [status for status, _, _ in tries]
    assert statuses.count(401) <= 5
    assert statuses.count(429) == 16 - statuses.count(401)


async def test_a_log_in_clears_the_account_and_leaves_the_failures_of_the_address(app: Quart, store: Store) -> None:
    email = await WebVisitor(app).sign_up()
    for _ in range(2):
        for _ in range(4):
            assert (await _log_in(app, email, _WRONG))[0] == 401
        assert (await _log_in(app, email, PASSWORD))[0] == 303

    counts = sorted([row["count"] async for row in store.throttle._tries.find({})])
    assert counts[-1] == pytest.approx(8, abs=0.5)  # eight failures, and neither of the two log-ins
    assert len(counts) == 3  # of the sign-up: its e-mail and its address; of the log-ins: the address


async def test_who_guesses_does_not_keep_a_browser_out_that_was_in_before(app: Quart, other_app: Quart) -> None:
    owner = WebVisitor(app)
    email = await owner.sign_up()
    await owner.post("/logout")
    for _ in range(6):
        await _log_in(app, email, _WRONG)
    assert (await _log_in(app, email, PASSWORD))[0] == 429

    owner.client.app = other_app
    await owner.get("/login")
    assert (await owner.post("/login", email=email, password=PASSWORD)).status_code == 303
    assert (await _log_in(app, email, PASSWORD))[0] == 429


async def test_a_known_browser_waits_for_its_own_guesses_and_for_other_accounts(app: Quart) -> None:
    thief = WebVisitor(app)
    email, other = await thief.sign_up(), await WebVisitor(app).sign_up()
    await thief.post("/logout")
    for victim in (email, other):
        await thief.get("/login")
        statuses = [(await thief.post("/login", email=victim, password=_WRONG)).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]

    assert (await _log_in(app, email, PASSWORD))[0] == 303  # other browsers have a counter of their own
    assert (await _log_in(app, other, PASSWORD))[0] == 429


@pytest.mark.parametrize("change", ["forged", "of another account", "of an older password"])
async def test_a_browser_is_not_known_by_a_cookie_that_is(app: Quart, store: Store, change: str) -> None:
    visitor = WebVisitor(app)
    email = await visitor.sign_up()
    if change == "of another account":
        email = await WebVisitor(app).sign_up()
    user = await store.users.by_email(email)
    assert user is not None
    if change == "of an older password":
        other = WebVisitor(app)
        await other.get("/login")
        await other.post("/login", email=email, password=PASSWORD)
        await other.get("/account/password")
        await other.post("/account/password", old_password=PASSWORD, password="아주 다른 비밀번호 둘")
    if change == "forged":
        visitor.client.set_cookie("localhost", "nunmal_device", f"name.{'0' * 64}")
    await visitor.post("/logout")
    for _ in range(5):
        await _log_in(app, email, _WRONG)

    await visitor.get("/login")
    assert (await visitor.post("/login", email=email, password=_WRONG)).status_code == 429


async def test_the_browser_that_changes_the_password_stays_known(app: Quart) -> None:
    owner, new = WebVisitor(app), "아주 다른 비밀번호 둘"
    email = await owner.sign_up()
    await owner.get("/account/password")
    assert (await owner.post("/account/password", old_password=PASSWORD, password=new)).status_code == 303
    await owner.get("/account")
    await owner.post("/logout")
    for _ in range(6):
        await _log_in(app, email, _WRONG)

    await owner.get("/login")
    assert (await owner.post("/login", email=email, password=new)).status_code == 303


async def test_a_hash_is_renewed_at_log_in_when_its_cost_has_changed(
    app: Quart, store: Store, memory_broker: MemoryBroker
) -> None:
    email = await WebVisitor(app).sign_up()
    dearer = create_app(web_settings(web={"bcrypt_rounds": 5}), memory_broker, store, node_id="dearer")
    async with dearer.test_app():
        assert (await _log_in(dearer, email, _WRONG))[0] == 401
        before = await store.users.credentials(email)
        assert (await _log_in(dearer, email, PASSWORD))[0] == 303
        after = await store.users.credentials(email)
    assert before is not None
    assert after is not None
    assert (before.password_hash[:7], after.password_hash[:7]) == (b"$2b$04$", b"$2b$05$")
    assert (await _log_in(app, email, PASSWORD))[0] == 303

    await store.users.set_password(after.user.id, b"of another password")
    assert not await store.users.renew_hash(after, b"of the old one")


async def test_other_accounts_are_not_kept_waiting(app: Quart) -> None:
    victim, other = await WebVisitor(app).sign_up(), await WebVisitor(app).sign_up()
    for _ in range(6):
        await _log_in(app, victim, _WRONG)

    assert (await _log_in(app, other, PASSWORD))[0] == 303


async def test_an_address_that_tries_many_accounts_waits(store: Store, memory_broker: MemoryBroker) -> None:
    settings = web_settings(web={"bcrypt_rounds": 4, "tries_per_address": 3})
    app = create_app(settings, memory_broker, store, node_id="node")
    async with app.test_app():
        statuses = [(await _log_in(app, f"{number}@example.com", _WRONG))[0] for number in range(4)]
        assert statuses == [401, 401, 401, 429]


async def test_sign_ups_of_one_address_wait_and_keep_what_was_typed(store: Store, memory_broker: MemoryBroker) -> None:
    settings = web_settings(web={"bcrypt_rounds": 4, "sign_ups_per_address": 2})
    app = create_app(settings, memory_broker, store, node_id="node")
    async with app.test_app():
        for _ in range(2):
            await WebVisitor(app).sign_up()
        visitor = WebVisitor(app)
        await visitor.get("/signup")
        response = await visitor.post("/signup", email="a@b.kr", name="김하늘", password=PASSWORD)

        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) >= 4
        assert 'value="a@b.kr"' in visitor.page
        assert await store.users.by_email("a@b.kr") is None


async def test_a_written_header_is_no_way_around_and_a_trusted_proxy_is_believed(
    store: Store, memory_broker: MemoryBroker
) -> None:
    async def statuses(trusted: str, node_id: str) -> list[int]:
        web = {"bcrypt_rounds": 4, "tries_per_address": 2, "trusted_proxies": trusted}
        app = create_app(web_settings(web=web), memory_broker, store, node_id=node_id)
        found = []
        async with app.test_app():
            for number in range(3):
                headers = {"X-Forwarded-For": f"203.0.113.{number}"}
                client = app.test_client()
                scope = {"client": ("127.0.0.1", 1)}
                page = await (await client.get("/login", scope_base=scope)).get_data(as_text=True)
                token = re.findall(r'name="csrf_token" value="([^"]+)"', page)[0]
                form = {"csrf_token": token, "email": f"{node_id}{number}@b.kr", "password": _WRONG}
                response = await client.post("/login", form=form, headers=headers, scope_base=scope)
                found.append(response.status_code)
        return found

    assert await statuses("", "direct") == [401, 401, 429]
    assert await statuses("127.0.0.0/8", "proxied") == [401, 401, 401]


@pytest.mark.parametrize("password", ["password1234", "qwerty123456", "김하늘 김하늘 김하늘!!", "비밀번호 비밀번호 12"])
async def test_a_password_that_others_try_first_is_refused(visitor: WebVisitor, store: Store, password: str) -> None:
    await visitor.get("/signup")
    response = await visitor.post("/signup", email="a@b.kr", name="김하늘", password=password)

    assert response.status_code == 422
    assert "먼저 떠올릴 만한 비밀번호예요." in visitor.page
    assert await store.users.by_email("a@b.kr") is None
