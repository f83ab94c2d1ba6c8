"""A forgotten password: the letter, its one-time link, and an operator's link where no mail is set up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import User
from shared.errors import StoreUnavailable
from shared.store import Store
from tests.smtp_server import SmtpServer, smtp_server, tls_contexts
from tests.web_visitor import PASSWORD, WebVisitor, web_settings
from web.app import create_app
from web.mail import Letter, Outbox, parse_mail_url

_NEW = "아주 다른 비밀번호 둘"
_SITE = "https://nunmal.example"


@pytest.fixture
async def smtp() -> AsyncIterator[SmtpServer]:
    async with smtp_server() as server:
        yield server


@pytest.fixture
async def mail_app(store: Store, memory_broker: MemoryBroker, smtp: SmtpServer) -> AsyncIterator[Quart]:
    settings = web_settings(
        web={"bcrypt_rounds": 4, "public_url": _SITE},
        mail={"url": f"smtp://127.0.0.1:{smtp.port}?from=nunmal@nunmal.example&tls=none"},
    )
    app = create_app(settings, memory_broker, store, node_id="node")
    async with app.test_app():
        yield app


async def _ask(app: Quart, email: str, **headers: str) -> tuple[int, str]:
    visitor = WebVisitor(app)
    await visitor.get("/reset")
    response = await visitor.client.post(
        "/reset", form={"csrf_token": visitor.csrf_token, "email": email}, headers=headers
    )
    return response.status_code, await response.get_data(as_text=True)


async def _link(smtp: SmtpServer) -> str:
    """The path of the next letter's link."""
    text = (await smtp.letter()).get_content()
    found = re.search(rf"^{_SITE}(/reset/\S+)$", text, re.MULTILINE)
    assert found
    return found[1]


async def _choose(app: Quart, path: str, password: str = _NEW) -> tuple[int, str, WebVisitor]:
    visitor = WebVisitor(app)
    await visitor.get(path)
    if not visitor.csrf_token:
        await visitor.get("/login")
    response = await visitor.post(path, password=password)
    return response.status_code, response.location or "", visitor


async def _log_in(app: Quart, email: str, password: str) -> int:
    visitor = WebVisitor(app)
    await visitor.get("/login")
    return (await visitor.post("/login", email=email, password=password)).status_code


async def test_a_letter_leads_to_a_new_password_and_ends_all_sessions(mail_app: Quart, smtp: SmtpServer) -> None:
    person = WebVisitor(mail_app)
    email = await person.sign_up()
    status, page = await _ask(mail_app, f" {email.upper()} ")
    letter = await smtp.letter()
    path = re.findall(rf"{_SITE}(/reset/\S+)", letter.get_content())[0]

    assert status == 200
    assert "가입된 이메일이라면 곧 메일이 도착해요." in page
    assert (letter["To"], letter["From"], letter["Subject"]) == (
        email,
        "nunmal@nunmal.example",
        "눈말 비밀번호를 새로 정해 주세요",
    )
    assert "30분 동안 한 번" in letter.get_content()
    assert smtp.receivers == [email]

    status, location, visitor = await _choose(mail_app, path)
    await visitor.get(location)
    assert status == 303
    assert "비밀번호를 바꿨어요. 새 비밀번호로" in visitor.page
    assert (await person.client.get("/chat")).status_code == 303
    assert await _log_in(mail_app, email, PASSWORD) == 401
    assert await _log_in(mail_app, email, _NEW) == 303
    assert "계정의 비밀번호가 바뀌었고" in (await smtp.letter()).get_content()


async def test_the_link_names_the_site_of_the_settings_whatever_host_is_asked(
    mail_app: Quart, smtp: SmtpServer
) -> None:
    email = await WebVisitor(mail_app).sign_up()
    await _ask(mail_app, email, **{"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    text = (await smtp.letter()).get_content()

    assert "evil.example" not in text
    assert _SITE in text


async def test_an_unknown_email_gets_the_same_page_and_no_letter(mail_app: Quart, smtp: SmtpServer) -> None:
    email = await WebVisitor(mail_app).sign_up()
    pages = [await _ask(mail_app, address) for address in ("nobody@example.com", email)]
    await smtp.letter()

    def without_token(page: str) -> str:
        return re.sub(r'value="[^"]*"', "", page)

    assert [status for status, _ in pages] == [200, 200]
    assert without_token(pages[0][1]) == without_token(pages[1][1])
    assert smtp.receivers == [email]


async def test_nobody_waits_for_the_store_or_the_letter(
    mail_app: Quart, store: Store, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same time for known and unknown addresses: the answer comes before the account is looked for."""
    email = await WebVisitor(mail_app).sign_up()
    looked, found = asyncio.Event(), store.users.by_email

    async def slow(address: str) -> object:
        await looked.wait()
        return await found(address)

    monkeypatch.setattr(store.users, "by_email", slow)
    for address in (email, "nobody@example.com"):
        assert (await _ask(mail_app, address))[0] == 200
    assert smtp.letters.empty()
    looked.set()
    await smtp.letter()


async def test_a_link_works_once_even_for_rivals(mail_app: Quart, smtp: SmtpServer) -> None:
    email = await WebVisitor(mail_app).sign_up()
    await _ask(mail_app, email)
    path = await _link(smtp)

    statuses = [status for status, _, _ in await asyncio.gather(*(_choose(mail_app, path) for _ in range(4)))]

    assert sorted(statuses) == [303, 404, 404, 404]
    assert (await WebVisitor(mail_app).get(path)).status_code == 404


async def test_a_refused_password_leaves_the_link_good(mail_app: Quart, smtp: SmtpServer) -> None:
    email = await WebVisitor(mail_app).sign_up()
    await _ask(mail_app, email)
    path = await _link(smtp)
    for password, sentence in (("짧아요", "12자 이상"), (email, "먼저 떠올릴 만한")):
        status, _, visitor = await _choose(mail_app, path, password)
        assert status == 422
        assert sentence in visitor.page

    assert (await _choose(mail_app, path))[0] == 303


async def test_the_others_of_several_links_end_with_the_first_that_is_used(mail_app: Quart, smtp: SmtpServer) -> None:
    email = await WebVisitor(mail_app).sign_up()
    paths = []
    for _ in range(2):
        await _ask(mail_app, email)
        paths.append(await _link(smtp))

    assert [(await _choose(mail_app, path))[0] for path in paths] == [303, 404]
    page = await (await WebVisitor(mail_app).get(paths[1])).get_data(as_text=True)
    assert 'href="/reset">' in page  # to ask for another


@pytest.mark.parametrize("email", ["", "nothing", "a@b.kr\r\nBcc: c@d.kr", "a b@c.kr"])
async def test_what_is_no_email_is_said_beside_the_field(mail_app: Quart, email: str) -> None:
    status, page = await _ask(mail_app, email)

    assert status == 422
    assert re.search(r'id="email-error" role="alert">이메일 주소를', page)


async def test_requests_are_throttled_alike_for_known_and_unknown(mail_app: Quart) -> None:
    for email in (await WebVisitor(mail_app).sign_up(), "nobody@example.com"):
        assert [(await _ask(mail_app, email))[0] for _ in range(6)] == [200] * 5 + [429]


async def test_strangers_who_ask_do_not_keep_a_known_browser_from_its_letter(mail_app: Quart, smtp: SmtpServer) -> None:
    owner = WebVisitor(mail_app)
    email = await owner.sign_up()
    await owner.post("/logout")
    assert [(await _ask(mail_app, email))[0] for _ in range(6)] == [200] * 5 + [429]
    for _ in range(5):
        await smtp.letter()

    await owner.get("/reset")
    assert (await owner.post("/reset", email=email)).status_code == 200
    await smtp.letter()


async def test_a_link_ends_the_api_keys_too_and_says_so(mail_app: Quart, store: Store, smtp: SmtpServer) -> None:
    email = await WebVisitor(mail_app).sign_up()
    user = await store.users.by_email(email)
    assert user is not None
    secrets = [(await store.keys.create(user.id))[1] for _ in range(2)]
    await _ask(mail_app, email)
    path = await _link(smtp)
    page = WebVisitor(mail_app)
    await page.get(path)
    assert "API 키도 모두 지워져요" in page.page

    _, location, visitor = await _choose(mail_app, path)

    await visitor.get(location)
    assert "API 키는 모두 지웠으니" in visitor.page
    assert "그전의 로그인과 API 키는 모두 끝났어요" in (await smtp.letter()).get_content()
    assert [await store.keys.authenticate(secret) for secret in secrets] == [None, None]
    assert [record["action"] for record in await store.audit.last(10)] == ["key_revoked"] * 2


async def test_the_address_of_a_link_is_told_to_nobody(app: Quart, store: Store) -> None:
    token = await store.resets.create("0190163d-8694-739b-aea5-966c26f8ad90", timedelta(hours=1))
    for path in (f"/reset/{token}", "/reset/unknown"):
        assert (await WebVisitor(app).get(path)).headers["Referrer-Policy"] == "no-referrer"
    assert (await WebVisitor(app).get("/reset")).headers["Referrer-Policy"] == "same-origin"


async def test_without_mail_the_page_names_the_operator_whose_link_works(app: Quart, store: Store) -> None:
    person = WebVisitor(app)
    email = await person.sign_up()
    user = await store.users.by_email(email)
    assert user is not None
    visitor = WebVisitor(app)
    await visitor.get("/reset")
    assert "운영자에게 말씀하시면" in visitor.page
    assert "<input id=" not in visitor.page

    token = await store.resets.create(user.id, timedelta(hours=24))
    assert (await _choose(app, f"/reset/{token}"))[0] == 303
    assert await _log_in(app, email, _NEW) == 303


async def test_a_link_of_an_account_that_is_gone_or_too_old_is_unknown(app: Quart, store: Store) -> None:
    user_id = "0190163d-8694-739b-aea5-966c26f8ad90"
    tokens = [await store.resets.create(user_id, lifetime) for lifetime in (timedelta(hours=1), timedelta(seconds=-1))]
    for token in (*tokens, "nonsense"):
        visitor = WebVisitor(app)
        assert (await visitor.get(f"/reset/{token}")).status_code == 404
        assert "이미 썼거나 시간이 지난 링크예요." in visitor.page


async def _with_second_step(app: Quart, store: Store) -> tuple[User, list[str]]:
    """An account and its recovery codes."""
    person = WebVisitor(app)
    user = await store.users.by_email(await person.sign_up())
    assert user is not None
    return user, await person.switch_on_second_step()


async def test_a_letter_keeps_the_second_step_and_says_what_to_do_with_a_strangers(
    mail_app: Quart, store: Store, smtp: SmtpServer
) -> None:
    user, codes = await _with_second_step(mail_app, store)
    await smtp.letter()
    await _ask(mail_app, user.email)
    path = await _link(smtp)
    page = WebVisitor(mail_app)
    await page.get(path)
    for sentence in ("로그인할 때 인증 코드나 복구 코드가 필요해요", "직접 켜지 않으셨다면, 운영자에게"):
        assert sentence in page.page

    _, location, visitor = await _choose(mail_app, path)

    await visitor.get(location)
    assert "2단계 인증은 그대로예요" in visitor.page
    assert (await visitor.post("/login", email=user.email, password=_NEW)).status_code == 200
    assert "직접 켜지 않으셨다면, 운영자에게" in visitor.page
    assert (await visitor.client.get("/chat")).status_code == 303
    assert (await visitor.post("/login/code", code=codes[0])).status_code == 303
    assert (await visitor.client.get("/chat")).status_code == 200
    assert not await store.audit.last(10)


async def test_an_operators_link_can_switch_a_lost_second_step_off(
    mail_app: Quart, store: Store, smtp: SmtpServer
) -> None:
    """Or one that somebody else set: recorded, told on the page before and after, and in a letter."""
    user, _ = await _with_second_step(mail_app, store)
    await smtp.letter()
    path = f"/reset/{await store.resets.create(user.id, timedelta(hours=1), without_second_step=True)}"
    page = WebVisitor(mail_app)
    await page.get(path)
    assert "2단계 인증도 함께 꺼져요" in page.page
    assert (await _choose(mail_app, path, "짧아요"))[0] == 422
    assert await store.second_steps.is_on(user.id)

    _, location, visitor = await _choose(mail_app, path)

    await visitor.get(location)
    assert "2단계 인증을 껐어요" in visitor.page
    assert "2단계 인증이 꺼졌어요" in (await smtp.letter()).get_content()
    (record,) = await store.audit.last(10)
    assert (record["actor"], record["action"], record["target"]) == (user.id, "second_step_removed", user.id)
    assert await _log_in(mail_app, user.email, _NEW) == 303


async def test_an_operators_link_of_the_plain_kind_keeps_it(app: Quart, store: Store) -> None:
    user, _ = await _with_second_step(app, store)

    await _choose(app, f"/reset/{await store.resets.create(user.id, timedelta(hours=1))}")

    assert await store.second_steps.is_on(user.id)


async def test_no_page_speaks_of_a_second_step_that_is_not_there(app: Quart, store: Store) -> None:
    user = await store.users.by_email(await WebVisitor(app).sign_up())
    assert user is not None
    path = f"/reset/{await store.resets.create(user.id, timedelta(hours=1), without_second_step=True)}"
    page = WebVisitor(app)
    await page.get(path)
    _, location, after = await _choose(app, path)
    await after.get(location)

    assert "새 비밀번호로 로그인해 주세요" in after.page
    assert "2단계" not in page.page + after.page
    assert not await store.audit.last(10)


async def test_a_second_step_that_cannot_be_accounted_for_stays(
    app: Quart, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, _ = await _with_second_step(app, store)
    path = f"/reset/{await store.resets.create(user.id, timedelta(hours=1), without_second_step=True)}"

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(store.audit, "append", away)

    assert (await _choose(app, path))[0] == 503
    assert await store.second_steps.is_on(user.id)


async def test_a_new_password_by_link_lets_a_locked_out_owner_in(app: Quart, store: Store) -> None:
    email = await WebVisitor(app).sign_up()
    user = await store.users.by_email(email)
    assert user is not None
    for _ in range(6):
        await _log_in(app, email, "틀린 비밀번호예요 정말")
    assert await _log_in(app, email, PASSWORD) == 429

    await _choose(app, f"/reset/{await store.resets.create(user.id, timedelta(hours=1))}")

    assert await _log_in(app, email, _NEW) == 303


async def test_the_owner_is_told_by_letter_what_was_changed(mail_app: Quart, smtp: SmtpServer) -> None:
    person = WebVisitor(mail_app)
    email = await person.sign_up()
    await person.get("/account/password")
    await person.post("/account/password", old_password=PASSWORD, password=_NEW)
    letter = await smtp.letter()

    assert (letter["To"], letter["Subject"]) == (email, "눈말 계정이 바뀌었어요")
    assert "계정의 비밀번호가 바뀌었고" in letter.get_content()
    assert _NEW not in letter.as_string()


async def test_letters_go_by_starttls_with_a_log_in(tmp_path: Path) -> None:
    server_tls, client_tls = tls_contexts(tmp_path)
    async with smtp_server(server_tls) as smtp:
        outbox = Outbox(parse_mail_url(f"smtp://me:p%40ss@127.0.0.1:{smtp.port}?from=a@b.kr"), client_tls)

        async def write() -> Letter:
            return Letter("jiu@example.com", "제목", "본문")

        outbox.post(write)
        letter = await smtp.letter()
        await outbox.close()

    assert (letter["Subject"], letter.get_content().strip()) == ("제목", "본문")
    assert smtp.log_ins == [(b"me", b"p@ss")]


async def test_without_a_certificate_we_trust_or_without_starttls_nothing_is_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def write() -> Letter:
        return Letter("jiu@example.com", "제목", "본문")

    server_tls, _ = tls_contexts(tmp_path)
    async with smtp_server(server_tls) as distrusted, smtp_server() as bare:
        for smtp in (distrusted, bare):
            outbox = Outbox(parse_mail_url(f"smtp://me:hunter2@127.0.0.1:{smtp.port}?from=a@b.kr"))
            outbox.post(write)
            await outbox.close()
            assert smtp.letters.empty()
            assert smtp.log_ins == []

    assert [record.message for record in caplog.records if record.name == "web.mail"] == ["mail_not_sent"] * 2
    assert "hunter2" not in caplog.text
    assert "jiu@example.com" not in caplog.text


async def test_a_server_that_is_away_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(parse_mail_url("smtp://127.0.0.1:1?from=a@b.kr&tls=none"))

    async def write() -> Letter:
        return Letter("jiu@example.com", "제목", "본문")

    outbox.post(write)
    await outbox.close()

    assert [record.message for record in caplog.records if record.name == "web.mail"] == ["mail_not_sent"]
