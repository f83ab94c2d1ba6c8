"""/account: name, password, and where one is logged in."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from quart import Quart

from shared.ids import new_id
from shared.store import Store
from tests.web_visitor import PASSWORD, WebVisitor

_NEW = "아주 다른 비밀번호 둘"
_DAY = timedelta(days=1)


async def _log_in(app: Quart, email: str, password: str = PASSWORD) -> WebVisitor:
    visitor = WebVisitor(app)
    await visitor.get("/login")
    response = await visitor.post("/login", email=email, password=password)
    assert response.status_code == 303, visitor.page
    await visitor.get("/account")
    return visitor


async def _is_in(visitor: WebVisitor) -> bool:
    return (await visitor.client.get("/chat")).status_code == 200


def _ends(visitor: WebVisitor) -> list[str]:
    return re.findall(r'action="(/account/sessions/[^"/]+/end)"', visitor.page)


async def test_the_page_is_one_click_from_the_chat_and_for_people_only(person: WebVisitor, visitor: WebVisitor) -> None:
    assert 'href="/account"' in person.page
    assert (await person.get("/account")).status_code == 200
    for path in ("/account", "/account/password", "/account/second-step"):
        assert (await visitor.get(path)).location == f"/login?next={path}"


async def test_a_name_is_changed_or_refused_beside_its_field(person: WebVisitor) -> None:
    await person.get("/account")
    refused = await person.post("/account/name", name="")
    assert refused.status_code == 422
    assert re.search(r'id="name-error" role="alert">이름은 1자에서', person.page)

    response = await person.post("/account/name", name="<b>김바다</b>")
    await person.get(response.location or "")
    assert "이름을 바꿨어요." in person.page
    await person.get("/chat")
    assert "&lt;b&gt;김바다&lt;/b&gt;" in person.page
    assert "<b>김바다" not in person.page


async def test_sessions_say_where_they_are_and_which_is_this(app: Quart) -> None:
    email = await WebVisitor(app).sign_up()
    visitor = WebVisitor(app)
    headers = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    await visitor.get("/login")
    form = {"csrf_token": visitor.csrf_token, "email": email, "password": PASSWORD}
    await visitor.client.post("/login", form=form, headers=headers, scope_base={"client": ("198.51.100.7", 1)})
    await visitor.get("/account")

    rows = re.findall(r"<li>\s*<span>(.*?)</li>", visitor.page, re.DOTALL)[2:4]
    assert "Firefox · Linux" in rows[0]
    assert "지금 쓰는 곳" in rows[0]
    assert "198.51.100.7" in rows[0]
    assert "지금 쓰는 곳" not in rows[1]
    assert len(_ends(visitor)) == 1


async def test_one_session_is_ended_and_only_by_its_owner(app: Quart, person: WebVisitor) -> None:
    first = WebVisitor(app)
    email = await first.sign_up()
    second = await _log_in(app, email)
    (path,) = _ends(second)
    await person.get("/account")

    assert (await person.post(path)).status_code == 404
    unknown = await second.post(f"/account/sessions/{new_id()}/end")
    assert unknown.status_code == 404
    assert await _is_in(first)

    await second.get("/account")
    response = await second.post(path)
    assert response.location == "/account?done=session"
    assert not await _is_in(first)
    assert await _is_in(second)
    await second.get("/account")
    assert (await second.post(path)).status_code == 404


async def test_sign_out_of_all_other_places_and_of_all(app: Quart) -> None:
    first = WebVisitor(app)
    email = await first.sign_up()
    second, third, other = await _log_in(app, email), await _log_in(app, email), WebVisitor(app)
    await other.sign_up()

    await second.post("/account/sessions/end", which="others")
    assert [await _is_in(each) for each in (first, second, third, other)] == [False, True, False, True]

    fourth = await _log_in(app, email)
    response = await fourth.post("/account/sessions/end", which="all")
    assert response.location == "/login"
    assert [await _is_in(each) for each in (second, fourth, other)] == [False, False, True]


async def test_an_unknown_choice_of_sessions_ends_none(app: Quart, person: WebVisitor) -> None:
    await person.get("/account")

    assert (await person.post("/account/sessions/end", which="everybody")).status_code == 422
    assert await _is_in(person)


async def test_a_changed_password_ends_all_other_sessions_and_links(app: Quart, store: Store) -> None:
    first = WebVisitor(app)
    email = await first.sign_up()
    second = await _log_in(app, email)
    user = await store.users.by_email(email)
    assert user is not None
    link = await store.resets.create(user.id, lifetime=_DAY)

    await second.get("/account/password")
    response = await second.post("/account/password", old_password=PASSWORD, password=_NEW)
    await second.get(response.location or "")

    assert "비밀번호를 바꿨어요." in second.page
    assert [await _is_in(first), await _is_in(second)] == [False, True]
    assert await store.resets.find(link) is None
    await _log_in(app, email, _NEW)
    stranger = WebVisitor(app)
    await stranger.get("/login")
    assert (await stranger.post("/login", email=email, password=PASSWORD)).status_code == 401


@pytest.mark.parametrize(
    ("old", "new", "status", "sentence"),
    [
        ("틀린 비밀번호예요 정말", _NEW, 403, 'id="old_password-error" role="alert">비밀번호가 맞지 않아요.'),
        ("가" * 25, _NEW, 403, 'id="old_password-error" role="alert">비밀번호가 맞지 않아요.'),
        (PASSWORD, "짧아요", 422, 'id="password-error" role="alert">비밀번호는 12자 이상'),
        (PASSWORD, "password1234", 422, 'id="password-error" role="alert">다른 사람이 먼저'),
        (PASSWORD, "김하늘김하늘김하늘김하늘", 422, 'id="password-error" role="alert">다른 사람이 먼저'),
        (PASSWORD, "가" * 25, 422, 'id="password-error" role="alert">비밀번호는 72바이트'),
    ],
)
async def test_a_password_that_is_not_changed_says_why_and_keeps_the_old_one(
    app: Quart, old: str, new: str, status: int, sentence: str
) -> None:
    visitor = WebVisitor(app)
    email = await visitor.sign_up()
    await visitor.get("/account/password")
    response = await visitor.post("/account/password", old_password=old, password=new)

    assert response.status_code == status
    assert sentence in visitor.page
    assert new not in visitor.page
    assert old not in visitor.page
    await _log_in(app, email)


async def test_a_thief_of_the_session_cannot_guess_the_password_for_long(app: Quart) -> None:
    visitor = WebVisitor(app)
    email = await visitor.sign_up()
    await visitor.get("/account/password")
    statuses = []
    for number in range(6):
        response = await visitor.post(
            "/account/password", old_password=f"열두 글자가 넘는 추측 {number}", password=_NEW
        )
        statuses.append(response.status_code)

    assert statuses == [403] * 5 + [429]
    assert response.headers["Retry-After"] in ("4", "5")
    await _log_in(app, email)  # the owner is not kept out by guesses made elsewhere


@pytest.mark.parametrize(
    "path",
    [
        "/account/name",
        "/account/password",
        "/account/sessions/end",
        "/account/sessions/01998a1e-0000-7000-8000-000000000000/end",
        "/account/second-step",
        "/account/second-step/on",
        "/account/second-step/off",
        "/login/code",
        "/reset",
        "/reset/token",
    ],
)
async def test_a_form_without_its_token_is_refused(person: WebVisitor, path: str) -> None:
    response = await person.post(path, csrf_token="0" * 64, which="all", name="다른 이름")

    assert response.status_code == 403
    assert await _is_in(person)


@pytest.mark.parametrize(
    "path", ["/account/name", "/account/password", "/account/second-step", "/account/sessions/end"]
)
async def test_nobody_changes_nothing(visitor: WebVisitor, path: str) -> None:
    await visitor.get("/login")

    assert (await visitor.post(path, name="x", which="all")).status_code == 401
