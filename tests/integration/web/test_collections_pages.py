"""Collections on /documents: made, filled, asked alone, renamed and removed, by their owner only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from bs4 import BeautifulSoup
from quart import Quart, Response

from shared.broker.memory import MemoryBroker
from shared.ids import new_id
from shared.store import Store
from tests.documents import PAGES
from tests.ingest_house import ended, ingest_worker
from tests.local_analyser import LocalAnalyser
from tests.multipart import CONTENT_TYPE, Part, multipart
from tests.web_visitor import PASSWORD, WebVisitor, web_settings
from web.app import create_app

_SMALL = {"collections_per_user": 2, "documents_per_collection": 1, "bcrypt_rounds": 4, "sign_ups_per_address": 100}


@pytest.fixture
async def app(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[Quart]:
    app = create_app(web_settings(), memory_broker, store, node_id="node", analyser=LocalAnalyser())
    async with app.test_app():
        yield app


async def _make(person: WebVisitor, name: str) -> Response:
    await person.get("/documents")
    return await person.post("/documents/collections", name=name)


async def _made(person: WebVisitor, name: str) -> str:
    """Its id."""
    response = await _make(person, name)
    assert response.status_code == 303
    return response.headers["Location"].partition("collection=")[2]


async def _upload(store: Store, person: WebVisitor, name: str, text: str, collection: str = "") -> str:
    """Its id."""
    await person.get("/documents")
    fields = [("csrf_token", person.csrf_token), ("collection", collection), ("document", name, text.encode())]
    parts: list[Part] = [*fields]  # type: ignore[list-item]  # pairs and a triple
    response = await person.post_raw("/documents", multipart(parts), CONTENT_TYPE)
    assert response.status_code == 303
    return (await store.documents.of_user(await _owner(store)))[0].id


async def _owner(store: Store) -> str:
    (user, *_) = await store.users.everyone()
    return user.id


async def _read(store: Store, broker: MemoryBroker) -> None:
    async with ingest_worker(store, broker):
        for document in await store.documents.of_user(await _owner(store)):
            await ended(store, document)


def _listed(person: WebVisitor) -> set[str]:
    page = BeautifulSoup(person.page, "html.parser")
    return {str(row["id"]).removeprefix("document-") for row in page.select("live-part li")}


def _quotes(person: WebVisitor) -> list[str]:
    return [said.get_text() for said in BeautifulSoup(person.page, "html.parser").select(".citations .quote")]


async def test_a_collection_is_asked_alone(store: Store, memory_broker: MemoryBroker, person: WebVisitor) -> None:
    towns = await _made(person, "마을")
    inside = await _upload(store, person, "하천.txt", PAGES[1], towns)
    outside = await _upload(store, person, "축제.txt", PAGES[2])
    await _read(store, memory_broker)

    await person.get(f"/documents?collection={towns}")
    assert _listed(person) == {inside}
    await person.get("/documents")
    assert _listed(person) == {inside, outside}
    for collection, expected in (("", "칠천 원"), (f"&collection={towns}", "")):
        await person.get(f"/documents?q={quote('솔바람 축제의 입장료는?')}{collection}")
        assert (expected in "".join(_quotes(person))) if expected else _quotes(person) == []
    await person.get(f"/documents?q={quote('버들 하천의 길이는?')}&collection={towns}")
    assert "42킬로미터" in _quotes(person)[0]


async def test_an_empty_collection_has_nothing_to_say(
    store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    empty = await _made(person, "빈 모음")
    await _upload(store, person, "하천.txt", PAGES[1])
    await _read(store, memory_broker)

    await person.get(f"/documents?q={quote('버들 하천의 길이는?')}&collection={empty}")
    assert "아직 다 읽은 문서가 없어요" in person.page and _quotes(person) == []


async def test_a_document_is_moved_in_and_out(store: Store, person: WebVisitor) -> None:
    one, other = await _made(person, "하나"), await _made(person, "둘")
    document = await _upload(store, person, "글.txt", "글", one)
    await person.get(f"/documents?collection={one}")

    moved = await person.post(f"/documents/{document}/collection", collection=other, shown=one)
    assert moved.headers["Location"].endswith(f"collection={one}")
    await person.get(f"/documents?collection={one}")
    assert "이 모음에는 아직 문서가 없어요" in person.page
    await person.get(f"/documents?collection={other}")
    assert _listed(person) == {document}
    await person.post(f"/documents/{document}/collection", collection="")
    await person.get(f"/documents?collection={other}")
    assert _listed(person) == set()


async def test_a_collection_gets_another_name_and_goes_without_its_documents(store: Store, person: WebVisitor) -> None:
    collection = await _made(person, "옛 이름")
    document = await _upload(store, person, "글.txt", "글", collection)
    await person.get(f"/documents?collection={collection}")
    await person.post(f"/documents/collections/{collection}/rename", name="  새\n이름 ")
    await person.get("/documents")
    assert "새 이름 1" in person.page and "옛 이름" not in person.page

    await person.post(f"/documents/collections/{collection}/delete")
    await person.get("/documents")
    assert "새 이름" not in person.page and _listed(person) == {document}
    assert (await person.get(f"/documents?collection={collection}")).status_code == 404


async def test_with_its_documents_a_collection_leaves_no_trace(
    store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    collection = await _made(person, "비밀")
    await _upload(store, person, "비밀.txt", PAGES[2], collection)
    await _read(store, memory_broker)
    await person.get(f"/documents?q={quote('솔바람 축제의 입장료는?')}")
    assert _quotes(person)
    await person.post(f"/documents/collections/{collection}/delete", documents="with")

    await person.get(f"/documents?q={quote('솔바람 축제의 입장료는?')}")
    assert _quotes(person) == []
    await store.documents.finish_removals(10, after_s=0.0)
    for name in ("documents", "document_collections", "document_pages", "document_chunks", "blobs"):
        assert [row async for row in store._database[name].find({})] == [], name


async def test_what_does_not_fit_is_refused_with_a_sentence(store: Store, memory_broker: MemoryBroker) -> None:
    app = create_app(web_settings(web=_SMALL), memory_broker, store, node_id="node", analyser=LocalAnalyser())
    async with app.test_app():
        person = WebVisitor(app)
        await person.sign_up()
        for name in ("", "가" * 61):
            assert (await _make(person, name)).status_code == 422
            assert "모음 이름을 1자에서 60자까지로" in person.page
        one = await _made(person, "하나")
        await _made(person, "둘")
        assert (await _make(person, "셋")).status_code == 422 and "모음은 2개까지" in person.page
        assert 'value="셋"' in person.page, "what was typed is still there"
        await _upload(store, person, "a.txt", "가", one)
        second = await _upload(store, person, "b.txt", "나")
        refused = await person.post(f"/documents/{second}/collection", collection=one)

        assert refused.status_code == 422 and "문서 1개" in person.page
        assert [each.collection_id for each in await store.documents.of_user(await _owner(store))] == [None, one]


async def test_collections_are_their_owners_alone(app: Quart, store: Store, person: WebVisitor) -> None:
    mine = await _made(person, "내것")
    document = await _upload(store, person, "글.txt", "글", mine)
    other = WebVisitor(app)
    await other.sign_up("남")
    theirs = await _made(other, "남의 것")

    for collection in (mine, new_id(), "x"):
        assert (await other.get(f"/documents?collection={collection}")).status_code == 404
        assert (await other.get(f"/documents?collection={collection}&q=x")).status_code == 404
        await other.get("/documents")
        assert (await other.post(f"/documents/collections/{collection}/rename", name="x")).status_code == 404
        await other.post(f"/documents/collections/{collection}/delete", documents="with")
    await other.get("/documents")
    assert (await other.post(f"/documents/{document}/collection", collection=theirs)).status_code == 404
    assert "내것" not in other.page
    assert [each.name for each in await store.document_collections.of_user(await _owner(store))] == ["내것"]
    assert (await store.documents.of_user(await _owner(store)))[0].collection_id == mine


async def test_names_are_shown_as_they_are(person: WebVisitor) -> None:
    await _make(person, "<b>모음")
    await person.get("/documents")

    assert "<b>모음" not in person.page and "&lt;b&gt;모음" in person.page


async def test_a_download_of_ones_data_has_the_collections(store: Store, person: WebVisitor) -> None:
    collection = await _made(person, "모음집")
    await _upload(store, person, "글.txt", "글", collection)
    await person.get("/account")
    body = json.loads(await (await person.post("/account/download", old_password=PASSWORD)).get_data(as_text=True))

    assert [row["name"] for row in body["document_collections"]] == ["모음집"]
    assert body["documents"][0]["collection"] == collection
