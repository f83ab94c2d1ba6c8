"""The pages under /documents: a file goes in, its sentences come out with their page, and nothing stays behind."""

from __future__ import annotations

import io
import json
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import pypdfium2 as pdfium
import pytest
from bs4 import BeautifulSoup
from PIL import Image
from quart import Quart, Response

from shared.broker.memory import MemoryBroker
from shared.store import Store
from tests.documents import PAGES, decomposed, image_file, pdf_of, scan_of
from tests.ingest_house import ended, ingest_worker
from tests.local_analyser import LocalAnalyser
from tests.multipart import CONTENT_TYPE, Part, multipart
from tests.web_visitor import PASSWORD, WebVisitor, web_settings
from web.app import create_app


@pytest.fixture
async def app(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[Quart]:
    app = create_app(web_settings(), memory_broker, store, node_id="node", analyser=LocalAnalyser())
    async with app.test_app():
        yield app


async def _upload(person: WebVisitor, *files: tuple[str, bytes]) -> Response:
    await person.get("/documents")
    parts: list[Part] = [("csrf_token", person.csrf_token), *(("document", name, data) for name, data in files)]
    response = await person.post_raw("/documents", multipart(parts), CONTENT_TYPE)
    if response.status_code == 303:
        await person.get("/documents")
    return response


async def _ask(person: WebVisitor, question: str) -> Response:
    return await person.get(f"/documents?q={quote(question)}")


async def _read(store: Store, broker: MemoryBroker) -> None:
    """All that waits."""
    (user, *_) = await store.users.everyone()
    async with ingest_worker(store, broker):
        for document in await store.documents.of_user(user.id):
            await ended(store, document)


def _with_picture_page(pdf: bytes, image: Image.Image) -> bytes:
    """One more page at its end."""
    document, scanned = pdfium.PdfDocument(pdf), pdfium.PdfDocument(image_file(image, "PDF"))
    document.import_pages(scanned)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def _citations(person: WebVisitor) -> list[tuple[str, str, str]]:
    """Quote, chip and where it leads."""
    rows = BeautifulSoup(person.page, "html.parser").select(".citations li")
    found = []
    for row in rows:
        (said,), (chip,) = row.select(".quote"), row.select("a.tag")
        found.append((said.get_text(), chip.get_text(), str(chip["href"])))
    return found


async def test_a_page_that_cannot_be_read_says_why_and_the_others_answer(
    store: Store, memory_broker: MemoryBroker, person: WebVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.ingest.ocr.tesseract.which", lambda program: None)
    blank = scan_of(PAGES[1])
    mixed = _with_picture_page(pdf_of(PAGES[:1]), blank)
    await _upload(person, ("섞임.pdf", mixed), ("사진.png", image_file(blank, "PNG")))
    await _read(store, memory_broker)

    await person.get("/documents")
    assert "그 가운데 1쪽은 글자를 읽지 못했어요" in person.page
    assert "그림 속 글자를 읽는 프로그램이 없어요" in person.page, "the scan alone cannot be read at all"
    (link,) = (link for link in BeautifulSoup(person.page, "html.parser").select("a") if link.text == "섞임.pdf")
    await person.get(str(link["href"]).replace("/pages/1", "/pages/2"))
    assert "이 페이지에는 글자가 없고" in person.page


async def test_a_question_is_answered_with_its_page_and_the_passage_is_boxed(
    store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    assert (await _upload(person, (decomposed("마을 안내.pdf"), pdf_of(PAGES)))).status_code == 303
    assert "마을 안내.pdf" in person.page and "차례를 기다리고" in person.page
    await _read(store, memory_broker)

    await _ask(person, "버들 하천은 길이가 얼마나 되나요?")
    said, chip, link = _citations(person)[0]
    assert said == "버들 하천의 길이는 42킬로미터이다."
    assert chip == "[1] 마을 안내.pdf · 2쪽"
    assert "모델이 새로 쓴 답이 아니라" in person.page

    await person.get(link)
    page = BeautifulSoup(person.page, "html.parser")
    (mark,), (box,), (picture,) = page.select("mark"), page.select("rect.passage-box"), page.select("svg image")
    assert mark.get_text() == said
    assert 80 < int(str(box["y"])) < 160 and 300 < int(str(box["width"])) < 900
    shown = await person.client.get(str(picture["href"]))
    assert (await shown.get_data(as_text=False)).startswith(b"\xff\xd8\xff")


async def test_what_no_document_says_is_not_answered(
    store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    await _ask(person, "버들 하천의 길이는?")
    assert "아직 다 읽은 문서가 없어요" in person.page
    await _upload(person, ("a.txt", "\n\n".join(PAGES).encode()))
    await _read(store, memory_broker)

    await _ask(person, "양자 컴퓨터의 오류 정정 부호는 누가 제안했나요?")
    assert "문서에 없는 내용입니다." in person.page
    assert _citations(person) == []


async def test_questions_that_are_none_are_refused_and_kept(person: WebVisitor) -> None:
    response = await _ask(person, "가" * 501)

    assert response.status_code == 422
    assert "500자 안으로" in person.page and f'value="{"가" * 500}"' in person.page


async def test_the_list_tells_how_far_reading_is_and_stops_asking_at_the_end(
    store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    await _upload(person, ("a.pdf", pdf_of(PAGES)))
    claimed = await store.documents.claim("w")
    assert claimed is not None
    await store.documents.counted(claimed.id, claimed.attempt, 3)
    await store.documents.page_done(claimed.id, claimed.attempt, 2)
    live = await (await person.get("/documents/live")).get_data(as_text=True)
    assert "3쪽 가운데 2쪽을 읽었어요" in live and re.search(r"남음", live) and 'data-live="true"' in live
    await store.documents.give_back(claimed.id, claimed.attempt)
    await _read(store, memory_broker)

    live = await (await person.get("/documents/live")).get_data(as_text=True)
    assert "3쪽을 모두 읽었어요" in live and 'data-live="false"' in live


@pytest.mark.parametrize(
    ("name", "data", "status", "sentence"),
    [
        ("빈.txt", b"", 422, "빈 파일은 올릴 수 없어요"),
        ("그림.pdf", b"GIF89a\x00", 422, "HTML, TXT, PNG, JPEG 가운데"),
        ("큰.txt", b"a" * ((1 << 20) + 1), 413, "1MiB까지"),
    ],
)
async def test_a_file_that_is_refused_gets_a_sentence(
    store: Store, memory_broker: MemoryBroker, name: str, data: bytes, status: int, sentence: str
) -> None:
    settings = web_settings(web={"bcrypt_rounds": 4, "sign_ups_per_address": 100, "document_max_mib": 1})
    app = create_app(settings, memory_broker, store, node_id="node", analyser=LocalAnalyser())
    async with app.test_app():
        person = WebVisitor(app)
        await person.sign_up()
        response = await _upload(person, ("먼저.txt", b"text"), (name, data))

        assert response.status_code == status
        alert = BeautifulSoup(person.page, "html.parser").select_one('[role="alert"]')
        assert alert is not None and sentence in alert.get_text()
        assert "먼저.txt" in person.page, "what came before it is kept"


async def test_more_files_than_a_form_may_have_are_refused_together(store: Store, person: WebVisitor) -> None:
    response = await _upload(person, *((f"{number}.txt", b"%d" % number) for number in range(5)))

    assert response.status_code == 422 and "한 번에 4개까지" in person.page
    (user,) = await store.users.everyone()
    assert await store.documents.of_user(user.id) == []


async def test_a_reason_is_shown_where_reading_failed(
    store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    await _upload(person, ("a.pdf", b"%PDF-1.7 broken"))
    await _read(store, memory_broker)
    await person.get("/documents")

    assert "파일이 손상되어 읽지 못했어요" in person.page


async def test_the_same_file_is_kept_once_and_room_is_limited(store: Store, memory_broker: MemoryBroker) -> None:
    settings = web_settings(web={"bcrypt_rounds": 4, "sign_ups_per_address": 100, "documents_per_user": 2})
    app = create_app(settings, memory_broker, store, node_id="node", analyser=LocalAnalyser())
    async with app.test_app():
        person = WebVisitor(app)
        await person.sign_up()
        for name in ("a.txt", "b.txt"):
            assert (await _upload(person, (name, b"same"))).status_code == 303
        (user,) = await store.users.everyone()
        assert [each.name for each in await store.documents.of_user(user.id)] == ["a.txt"]
        await _upload(person, ("c.txt", b"other"))
        refused = await _upload(person, ("d.txt", b"third"))

    assert refused.status_code == 422 and "문서는 2개" in person.page


async def test_a_removed_document_leaves_no_trace(
    store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    await _upload(person, ("비밀.pdf", pdf_of(PAGES)))
    await _read(store, memory_broker)
    await _ask(person, "솔바람 축제의 입장료는?")
    assert "칠천 원" in _citations(person)[0][0]
    (action,) = re.findall(r'action="(/documents/[^"]+/delete)"', person.page)
    assert (await person.post(action)).status_code == 303

    await _ask(person, "솔바람 축제의 입장료는?")
    assert _citations(person) == []
    await store.documents.finish_removals(10, after_s=0.0)
    for name in ("documents", "document_pages", "document_chunks", "blobs"):
        assert [row async for row in store._database[name].find({})] == [], name


async def test_documents_are_their_owners_alone(
    app: Quart, store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    await _upload(person, ("내것.pdf", pdf_of(PAGES)))
    await _read(store, memory_broker)
    (user,) = await store.users.everyone()
    (mine,) = await store.documents.of_user(user.id)
    other = WebVisitor(app)
    await other.sign_up("남")
    for path in ("pages/1", "pages/1.jpg", "file"):
        assert (await other.get(f"/documents/{mine.id}/{path}")).status_code == 404
        assert (await WebVisitor(app).get(f"/documents/{mine.id}/{path}")).status_code in (303, 401)
    await _ask(other, "버들 하천의 길이는?")
    assert "내것" not in other.page and "킬로미터" not in other.page
    await other.post(f"/documents/{mine.id}/delete")
    assert (await person.post(f"/documents/{mine.id}/delete", csrf_token="x")).status_code == 403

    file = await person.client.get(f"/documents/{mine.id}/file")
    assert file.headers["Content-Disposition"].startswith("attachment")
    assert await file.get_data(as_text=False) == pdf_of(PAGES)


async def test_places_that_are_none_mark_nothing(store: Store, memory_broker: MemoryBroker, person: WebVisitor) -> None:
    await _upload(person, ("a.txt", PAGES[0].encode()))
    await _read(store, memory_broker)
    (user,) = await store.users.everyone()
    (mine,) = await store.documents.of_user(user.id)
    for query in ("from=5&to=2", "from=0&to=99999", "from=-1&to=3", "from=x&to=y", "from=%C2%B2&to=%C2%B3"):
        assert (await person.get(f"/documents/{mine.id}/pages/1?{query}")).status_code == 200
        assert "<mark>" not in person.page
    for path in ("pages/2", "pages/0", "pages/1.jpg", "pages/99999999999999999999"):
        assert (await person.get(f"/documents/{mine.id}/{path}")).status_code == 404


async def test_markup_in_names_and_text_is_shown_as_it_is(
    store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    await _upload(person, ("<b>글.txt", "<script>alert(1)</script> 하천의 길이는 42이다.".encode()))
    await _read(store, memory_broker)
    await _ask(person, "하천의 길이는?")

    assert "<b>글" not in person.page and "&lt;b&gt;글" in person.page
    assert "<script>alert" not in person.page and "&lt;script&gt;alert(1)" in person.page


async def test_a_download_of_ones_data_has_the_files(store: Store, person: WebVisitor) -> None:
    await _upload(person, ("글.txt", "내 글".encode()))
    await person.get("/account")
    body = await (await person.post("/account/download", old_password=PASSWORD)).get_data(as_text=True)

    (row,) = json.loads(body)["documents"]
    assert (row["name"], row["base64"]) == ("글.txt", "64K0IOq4gA==")


async def test_markdown_is_uploaded_with_its_pictures_whose_letters_are_read(
    store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    text = f"# 안내\n\n{PAGES[0]}\n\n![지도](그림/지도.png)\n\n![밖](https://example.com/밖.png)\n\n끝."
    picture, other = image_file(scan_of(PAGES[1]), "PNG"), image_file(scan_of(PAGES[2]), "JPEG")
    files = (("안내.md", text.encode()), (decomposed("지도.png"), picture), ("따로.jpg", other))
    assert (await _upload(person, *files)).status_code == 303
    (user,) = await store.users.everyone()
    by_name = {each.name: each for each in await store.documents.of_user(user.id)}
    assert set(by_name) == {"안내.md", "따로.jpg"}, "a picture that no text names is a document of its own"
    await _read(store, memory_broker)

    await _ask(person, "버들 하천의 길이는?")
    said, chip, link = _citations(person)[0]
    assert "42" in said and chip == "[1] 안내.md · 2쪽"
    await person.get(link)
    page = BeautifulSoup(person.page, "html.parser")
    assert page.select("rect.passage-box") and page.select("svg image")
    await person.get(f"/documents/{by_name['안내.md'].id}/pages/3")
    assert "밖" in person.page and "example.com" not in person.page, "nothing else is fetched or shown"


async def test_too_many_documents_are_refused_whatever_pictures_come_along(store: Store, person: WebVisitor) -> None:
    picture = image_file(scan_of("가"), "PNG")
    few = [("글.md", b"![](0.png)"), *((f"{number}.png", picture + bytes([number])) for number in range(5))]

    assert (await _upload(person, *few)).status_code == 422
    (user,) = await store.users.everyone()
    assert await store.documents.of_user(user.id) == []
