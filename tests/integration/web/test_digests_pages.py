"""The pages under /digests: an article goes in, its digest comes out, and nothing stays behind."""

from __future__ import annotations

import json

import pytest
from bs4 import BeautifulSoup
from quart import Response

from shared.broker.memory import MemoryBroker
from shared.store import Store
from tests.ingest_house import digest_worker, digested
from tests.multipart import CONTENT_TYPE, Part, multipart
from tests.unit.shared.test_digesting import KOREAN
from tests.web_visitor import PASSWORD, WebVisitor


async def _send(person: WebVisitor, *files: tuple[str, bytes], content: str = "", title: str = "") -> Response:
    await person.get("/digests")
    parts: list[Part] = [("csrf_token", person.csrf_token), ("content", content), ("title", title)]
    parts += [("article", name, data) for name, data in files]
    return await person.post_raw("/digests", multipart(parts), CONTENT_TYPE)


async def _made(store: Store, broker: MemoryBroker) -> None:
    (user, *_) = await store.users.everyone()
    async with digest_worker(store, broker):
        for job in await store.digests.of_user(user.id):
            await digested(store, job)


def _text(person: WebVisitor) -> str:
    return BeautifulSoup(person.page, "html.parser").get_text(" ", strip=True)


async def test_a_pasted_article_is_digested_shown_and_taken_along(
    visitor: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    await visitor.sign_up()
    sent = await _send(visitor, content=KOREAN, title="<b>힙</b> 이야기")
    address = sent.location or ""
    assert sent.status_code == 303
    await visitor.get(address)
    assert "차례를 기다리고 있어요" in _text(visitor)
    assert (await visitor.get(f"{address}/export.json")).status_code == 404
    await _made(store, memory_broker)

    drawn = await (await visitor.get(f"{address}/live")).get_data(as_text=True)
    assert "글의 문장을 그대로 옮긴 거예요" in drawn and 'data-live="false"' in drawn
    await visitor.get(address)
    shown = _text(visitor)
    assert "더 이상 쓰지 않는 메모리를" in shown and "/5" in shown and "배경 지식" in shown
    assert "<b>힙</b>" not in visitor.page
    exported = await (await visitor.get(f"{address}/export.json")).get_json()
    assert (exported["summary_by"], exported["title"]) == ("extract", "힙 이야기")
    told = await visitor.get(f"{address}/export.md")
    assert "attachment" in told.headers["Content-Disposition"]
    assert (await told.get_data(as_text=True)).startswith("# 힙 이야기\n")
    await visitor.get("/digests")
    await visitor.post(f"{address}/delete")
    assert (await visitor.get(address)).status_code == 404


async def test_a_file_of_json_is_a_batch_that_shows_its_progress(
    visitor: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    await visitor.sign_up()
    lines = b"\n".join(json.dumps(each).encode() for each in ({"content": KOREAN, "title": "하나"}, {"content": ""}))
    sent = await _send(visitor, ("글.jsonl", lines))
    await visitor.get(sent.location or "")
    assert "2편 가운데 1편을 끝냈어요 · 1편은 요약하지 못했어요" in _text(visitor)
    await _made(store, memory_broker)
    await visitor.get(sent.location or "")
    assert "2편 가운데 2편을 끝냈어요" in _text(visitor) and "빈 글은 요약할 수 없어요" in _text(visitor)
    await visitor.get("/digests")
    assert "하나" in _text(visitor)


@pytest.mark.parametrize(
    ("files", "content", "status", "sentence"),
    [
        ((), "  ", 422, "빈 글은 요약할 수 없어요"),
        ((("가.md", b""),), "", 422, "빈 글은 요약할 수 없어요"),
        ((), "글" * (5 << 20), 413, "1024KiB까지"),
        ((("큰.txt", b"a" * (5 << 20)),), "", 413, "1024KiB까지"),
        ((("그림.md", b"\x89PNG\r\n\x1a\n\x00"),), "", 422, "사진은 요약할 수 없어요"),
        ((("묶음.md", b"\x1f\x8b\x08\x00\x00\x00"),), "", 422, "Markdown, HTML, TXT, PNG, JPEG 가운데"),
        ((("가.json", b"{"),), "", 422, "정해진 꼴과 달라요"),
        ((("가.json", b"{}"),), "", 422, "빈 글은 요약할 수 없어요"),
        ((("가.json", json.dumps([{}] * 101).encode()),), "", 422, "100개까지"),
    ],
)
async def test_what_is_refused_gets_a_sentence_and_leaves_nothing(
    visitor: WebVisitor, store: Store, files: tuple[tuple[str, bytes], ...], content: str, status: int, sentence: str
) -> None:
    await visitor.sign_up()
    response = await _send(visitor, *files, content=content)

    assert (response.status_code, sentence in _text(visitor)) == (status, True), _text(visitor)[:500]
    assert [row async for row in store._database["digests"].find({})] == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("これは日本語で書かれた記事です。" * 20, "한국어나 영어로 쓴 글만"),
        ("<div><p></p></div>" * 900, "80자도 되지 않아요"),
    ],
)
async def test_what_only_its_reader_can_tell_is_told_too(
    visitor: WebVisitor, store: Store, memory_broker: MemoryBroker, content: str, sentence: str
) -> None:
    await visitor.sign_up()
    sent = await _send(visitor, content=content)
    await _made(store, memory_broker)

    await visitor.get(sent.location or "")
    assert sentence in _text(visitor)


async def test_others_see_nothing_and_a_download_has_it_all(visitor: WebVisitor, store: Store) -> None:
    await visitor.sign_up()
    sent = await _send(visitor, content=KOREAN)
    other = WebVisitor(visitor.client.app)
    await other.sign_up("다른 사람")
    for address in (sent.location, f"{sent.location}/live", f"{sent.location}/export.md", "/digests/batches/x"):
        assert (await other.get(address or "")).status_code == 404
    await other.get("/digests")
    await other.post(f"{sent.location}/delete")

    (user, *_) = [each for each in await store.users.everyone() if each.name == "김하늘"]
    assert len(await store.digests.of_user(user.id)) == 1
    await visitor.get("/account")
    body = await (await visitor.post("/account/download", old_password=PASSWORD)).get_data(as_text=True)
    assert [each["state"] for each in json.loads(body)["digests"]] == ["waiting"]
