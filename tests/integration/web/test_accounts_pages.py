"""Sign-up, log-in and log-out through their pages."""

from __future__ import annotations

import re

import pytest
from quart import Quart

from shared.store import Store
from tests.web_visitor import PASSWORD, WebVisitor


async def test_sign_up_has_three_fields_and_leaves_the_person_logged_in(visitor: WebVisitor) -> None:
    await visitor.get("/signup")
    labels = re.findall(r"<label[^>]*>([^<]+)</label>", visitor.page)
    response = await visitor.post("/signup", email="a@b.kr", name="김하늘", password=PASSWORD)

    assert labels == ["이메일", "이름", "비밀번호"]
    assert (response.status_code, response.location) == (303, "/chat")
    assert (await visitor.get("/chat")).status_code == 200


async def test_the_session_cookie_cannot_be_read_by_scripts(visitor: WebVisitor) -> None:
    await visitor.get("/signup")
    response = await visitor.post("/signup", email="a@b.kr", name="김하늘", password=PASSWORD)
    cookie = next(value for value in response.headers.getlist("Set-Cookie") if value.startswith("nunmal_session="))

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"email": "nothing"}, 422, "이메일 주소를 다시 확인해 주세요."),
        ({"name": ""}, 422, "이름은 1자에서 40자 사이로"),
        ({"name": "가" + "\u0301" * 10_000}, 422, "이름은 1자에서 40자 사이로"),
        ({"password": "짧아요"}, 422, "12자 이상"),
        ({"password": "가" * 25}, 422, "24자까지"),
        ({"password": "\x00" * 12}, 400, "쓸 수 없는 글자"),
        ({"email": "a\x00@b.kr"}, 422, "이메일 주소를"),
    ],
)
async def test_a_refused_sign_up_says_why_beside_the_field_and_keeps_what_was_typed(
    visitor: WebVisitor, store: Store, fields: dict[str, str], status: int, sentence: str
) -> None:
    await visitor.get("/signup")
    typed = {"email": "a@b.kr", "name": "김하늘", "password": PASSWORD} | fields
    response = await visitor.post("/signup", **typed)

    assert response.status_code == status
    assert re.search(rf'role="alert">[^<]*{sentence}', visitor.page)
    assert typed["password"] not in visitor.page
    assert await store.users.credentials("a@b.kr") is None


async def test_a_taken_email_is_a_conflict(app: Quart, person: WebVisitor) -> None:
    email = await WebVisitor(app).sign_up()
    other = WebVisitor(app)
    await other.get("/signup")
    response = await other.post("/signup", email=email.upper(), name="다른 사람", password=PASSWORD)

    assert response.status_code == 409
    assert "이미 가입된 이메일이에요." in other.page


async def test_log_in_rotates_the_session_and_log_out_revokes_it(app: Quart) -> None:
    visitor = WebVisitor(app)
    email = await visitor.sign_up()
    first = _session(visitor)
    await visitor.post("/logout")
    after_logout = await visitor.get("/chat")
    await visitor.get("/login?next=/chat")
    response = await visitor.post("/login", email=email, password=PASSWORD, next="/chat")
    second = _session(visitor)

    assert after_logout.location == "/login?next=/chat"
    assert (response.status_code, response.location) == (303, "/chat")
    assert first != second

    thief = WebVisitor(app)
    thief.client.set_cookie("localhost", "nunmal_session", first)
    assert (await thief.get("/chat")).status_code == 303


async def test_logging_in_again_revokes_the_session_one_had(app: Quart) -> None:
    visitor = WebVisitor(app)
    email = await visitor.sign_up()
    first = _session(visitor)
    other = WebVisitor(app)
    await other.get("/login")
    token = other.csrf_token
    other.client.set_cookie("localhost", "nunmal_session", first)
    await other.get("/logout")
    await other.post("/login", email=email, password=PASSWORD)

    thief = WebVisitor(app)
    thief.client.set_cookie("localhost", "nunmal_session", first)
    assert token
    assert (await thief.get("/chat")).status_code == 303


@pytest.mark.parametrize("password", ["틀린 비밀번호예요 정말", "", "short"])
async def test_a_wrong_password_and_an_unknown_email_look_the_same(app: Quart, password: str) -> None:
    email = await WebVisitor(app).sign_up()
    pages = []
    for address in (email, "nobody@example.com"):
        visitor = WebVisitor(app)
        await visitor.get("/login")
        response = await visitor.post("/login", email=address, password=password)
        assert response.status_code == 401
        assert "이메일이나 비밀번호가 맞지 않아요." in visitor.page
        pages.append(re.sub(r'value="[^"]*"', "", visitor.page))

    assert pages[0] == pages[1]


async def test_a_password_over_72_bytes_gets_its_sentence_at_log_in_too(visitor: WebVisitor) -> None:
    await visitor.get("/login")
    response = await visitor.post("/login", email="a@b.kr", password="가" * 25)

    assert response.status_code == 422
    assert "한글은 한 글자가 3바이트라서 24자까지예요." in visitor.page


@pytest.mark.parametrize(
    "path", ["https://evil.example", "//evil.example", "/\\evil.example", "\ufffd", "javascript:x"]
)
async def test_log_in_never_leads_to_another_site(app: Quart, path: str) -> None:
    email = await WebVisitor(app).sign_up()
    visitor = WebVisitor(app)
    await visitor.get("/login")
    response = await visitor.post("/login", email=email, password=PASSWORD, next=path)

    assert response.location == "/chat"


@pytest.mark.parametrize("path", ["/signup", "/login", "/logout", "/language", "/chat"])
async def test_a_form_without_its_token_is_refused(person: WebVisitor, path: str) -> None:
    response = await person.post(path, csrf_token="0" * 64, message="안녕")

    assert response.status_code == 403
    assert "새로 고친 뒤에" in person.page


async def test_a_token_of_before_log_in_is_worth_nothing_after(app: Quart) -> None:
    visitor = WebVisitor(app)
    await visitor.get("/signup")
    token = visitor.csrf_token
    await visitor.sign_up()

    assert (await visitor.post("/logout", csrf_token=token)).status_code == 403


async def test_english_is_one_click_away(visitor: WebVisitor) -> None:
    await visitor.get("/signup")
    response = await visitor.post("/language", language="en", path="/signup")
    await visitor.get("/signup")

    assert (response.status_code, response.location) == (303, "/signup")
    assert '<html lang="en">' in visitor.page
    assert "Sign up" in visitor.page


async def test_an_unknown_language_is_refused(visitor: WebVisitor) -> None:
    await visitor.get("/signup")

    assert (await visitor.post("/language", language="xx", path="/")).status_code == 422


async def test_somebody_logged_in_is_led_to_the_chat(person: WebVisitor) -> None:
    for path in ("/", "/login", "/signup"):
        assert (await person.get(path)).location == "/chat"


def _session(visitor: WebVisitor) -> str:
    jar = visitor.client.cookie_jar or ()
    return next(cookie.value or "" for cookie in jar if cookie.name == "nunmal_session")
