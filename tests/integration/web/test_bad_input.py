"""Whatever is sent gets a clean answer: refused with a sentence, or stored exactly. Never a 500."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote_from_bytes

import pytest
from quart import Quart

from shared.errors import StoreUnavailable
from shared.store import Store
from tests.web_visitor import WebVisitor
from web.forms import tidy

_BROKEN = (b"%FF", b"\xff\xfe", b"%ED%A0%80", b"%C0%80", b"%00", b"%", b"%zz")
_TEXTS = (
    "\x00",
    "a\u0301" + "\u0301" * 10_000,
    "\u202e뒤집힌 글",
    "\ufffd",
    "\U0010ffff\ufffe",
    "🙂" * 100,
    "<script>alert(1)</script>",
    "{{ 7*7 }}",
)


async def _stored(store: Store, person: WebVisitor) -> list[str]:
    conversations = [conversation async for conversation in store.conversations._conversations.find({})]
    return [
        turn.question for c in conversations for turn in await store.generations.of_conversation(c["_id"], c["user_id"])
    ]


@pytest.mark.parametrize("text", ["", "   ", "\n\n\t", "\u3000"])
async def test_an_empty_message_gets_a_sentence_and_is_not_stored(person: WebVisitor, store: Store, text: str) -> None:
    response = await person.ask(text)

    assert response.status_code == 422
    assert "내용을 적어 주세요." in person.page
    assert await _stored(store, person) == []


@pytest.mark.parametrize("text", ["가" * 33_334, "가" * 100_000, "a b" * 34_000])
async def test_a_message_of_100_kb_gets_a_sentence_and_keeps_what_was_typed(
    person: WebVisitor, store: Store, text: str
) -> None:
    response = await person.ask(text)

    assert response.status_code == 413
    assert "8000자까지 보낼 수 있으니" in person.page
    assert text in person.page
    assert await _stored(store, person) == []


async def test_a_body_of_megabytes_is_refused(person: WebVisitor, store: Store) -> None:
    response = await person.post("/chat", message="가" * 1_000_000)

    assert response.status_code == 413
    assert await _stored(store, person) == []


@pytest.mark.parametrize("path", ["/signup", "/login", "/language", "/account/name", "/chat/x/rename", "/keys"])
async def test_no_form_but_a_messages_is_longer_than_64_kib(person: WebVisitor, path: str) -> None:
    response = await person.post(path, name="a" * 65 * 1024)

    assert response.status_code == 413


def test_a_text_that_is_far_too_long_is_not_looked_through() -> None:
    class Unread(str):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError("looked at each character")

    text = Unread("\u0301" * 500)

    assert tidy(text, 100) is text
    with pytest.raises(AssertionError, match="looked at"):
        tidy(text, 200)


@pytest.mark.parametrize("text", _TEXTS)
async def test_strange_text_is_refused_or_stored_exactly(person: WebVisitor, store: Store, text: str) -> None:
    response = await person.ask(text)

    assert await _stored(store, person) == ([text] if response.status_code == 303 else [])
    assert response.status_code in (303, 400, 413, 422)


async def test_a_message_is_stored_as_nfc(person: WebVisitor, store: Store) -> None:
    await person.ask("\u1112\u1161\u11ab\u1100\u1173\u11af")

    assert await _stored(store, person) == ["한글"]


async def test_line_ends_are_kept_as_one_kind_and_first_lines_are_not_lost(person: WebVisitor, store: Store) -> None:
    await person.ask("하나\r\n둘\r\n\r\n  셋")

    assert await _stored(store, person) == ["하나\n둘\n\n  셋"]


@pytest.mark.parametrize("path", ["/signup", "/login", "/logout", "/language", "/chat", "/chat/x", "/chat/x/rename"])
@pytest.mark.parametrize("broken", _BROKEN)
async def test_a_form_with_broken_bytes_is_no_500(person: WebVisitor, path: str, broken: bytes) -> None:
    for field in (b"email", b"password", b"message", b"generation_id", b"csrf_token", b"next", b"title", b"\xff"):
        body = b"csrf_token=" + person.csrf_token.encode() + b"&" + field + b"=" + broken
        response = await person.post_raw(path, body)
        assert 300 <= response.status_code < 500


async def test_another_content_type_is_refused(person: WebVisitor) -> None:
    response = await person.post_raw("/chat", b'{"message": "x"}', "application/json")

    assert response.status_code == 400


@pytest.mark.parametrize(
    "broken", [b"\xff", b"\xed\xa0\x80", b"\x00", "\u0301".encode() * 2_000, b"..", b"%2e%2e", b"\r\n"]
)
async def test_a_path_or_query_with_broken_bytes_is_no_500(person: WebVisitor, broken: bytes) -> None:
    quoted = quote_from_bytes(broken)
    for path in (f"/{quoted}", f"/chat/{quoted}", f"/chat/{quoted}/stream/{quoted}", f"/static/{quoted}/{quoted}"):
        assert (await person.get(path)).status_code == 404
    for path in (f"/login?next={quoted}", f"/chat?{quoted}={quoted}"):
        assert (await person.get(path)).status_code in (200, 303)


@pytest.mark.parametrize(
    "path", ["/nothing", "/chat/nothing", "/chat/0190163d-8694-739b-aea5-966c26f8ad90", "/static/x/y.css"]
)
async def test_an_unknown_address_is_a_korean_404(person: WebVisitor, path: str) -> None:
    response = await person.get(path)

    assert response.status_code == 404
    assert "여기에는 아무것도 없어요" in person.page


async def test_a_wrong_method_is_a_korean_405(person: WebVisitor) -> None:
    response = await person.post("/healthz")

    assert response.status_code == 405
    assert "그렇게 보낼 수 없어요." in person.page


async def test_a_store_that_is_away_is_a_503(app: Quart, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = WebVisitor(app)
    await visitor.sign_up()

    async def away(*args: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(store.sessions, "user_id", away)
    response = await visitor.get("/chat")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert "저장소와 연결이 끊겼어요." in visitor.page


async def test_an_unknown_error_tells_nothing(app: Quart, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = WebVisitor(app)
    await visitor.sign_up()

    async def broken(*args: object) -> None:
        raise RuntimeError("the secret is 1234")

    monkeypatch.setattr(store.conversations, "latest", broken)
    response = await visitor.get("/chat")

    assert response.status_code == 500
    assert "저희 쪽에 문제가 생겼어요." in visitor.page
    assert "1234" not in visitor.page
    assert "Traceback" not in visitor.page


@pytest.mark.parametrize("path", ["/signup", "/nothing", "/healthz", "/favicon.ico"])
async def test_every_answer_carries_the_policy(visitor: WebVisitor, path: str) -> None:
    response = await visitor.get(path)

    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_pages_are_never_kept_and_assets_are(visitor: WebVisitor) -> None:
    page = await visitor.get("/signup")
    asset = visitor.page.split('rel="stylesheet" href="')[1].split('"')[0]

    assert page.headers["Cache-Control"] == "no-store"
    assert "immutable" in (await visitor.get(asset)).headers["Cache-Control"]
    assert (await visitor.get("/static/other/css/main.css")).headers["Cache-Control"] == "no-cache"
    assert (await visitor.get("/favicon.ico")).content_type == "image/svg+xml"


async def test_no_page_has_inline_script_or_style(person: WebVisitor) -> None:
    for path in ("/chat", "/logout", "/nothing"):
        await person.get(path)
        assert " style=" not in person.page
        assert "<style" not in person.page
        assert " onclick=" not in person.page
        assert person.page.count("<script") == person.page.count('<script type="module" src="/static/') >= 1
