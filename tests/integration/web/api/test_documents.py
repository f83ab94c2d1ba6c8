"""/v1/documents: a program uploads, watches, asks and removes, and never sees what is somebody else's."""

from __future__ import annotations

from typing import Any

import pytest
from quart import Quart, Response

from shared.broker.memory import MemoryBroker
from shared.ids import new_id
from shared.store import Store
from tests.documents import PAGES, image_file, pdf_of, scan_of
from tests.ingest_house import ended, ingest_worker
from tests.integration.web.api.conftest import Program, program_of
from tests.integration.web.api.test_openapi import _checked
from tests.multipart import CONTENT_TYPE, multipart

pytestmark = pytest.mark.timeout(120)

_PATH = "/v1/documents"


async def _upload(program: Program, name: str, data: bytes) -> Response:
    return await program.post_raw(_PATH, multipart([("file", name, data)]), **{"Content-Type": CONTENT_TYPE})


async def _read(store: Store, broker: MemoryBroker, program: Program) -> None:
    async with ingest_worker(store, broker):
        for document in await store.documents.of_user(program.user_id):
            await ended(store, document)


async def _body(response: Response, method: str, path: str, status: int = 200) -> Any:
    assert response.status_code == status
    return await _checked(response, method, path)


async def test_a_document_is_uploaded_watched_asked_and_removed(
    store: Store, memory_broker: MemoryBroker, program: Program
) -> None:
    uploaded = await _upload(program, "마을.pdf", pdf_of(PAGES))
    document = await _body(uploaded, "post", _PATH, 202)
    assert (document["status"], document["pages"], document["eta_s"]) == ("waiting", None, None)
    assert uploaded.headers["Location"] == document["status_url"] == f"{_PATH}/{document['id']}"
    assert (await _body(await _upload(program, "또.pdf", pdf_of(PAGES)), "post", _PATH, 202))["id"] == document["id"]

    await _read(store, memory_broker, program)
    one = await _body(await program.get(document["status_url"]), "get", document["status_url"])
    assert (one["status"], one["pages"], one["pages_done"], one["error"]) == ("ready", 3, 3, None)
    listed = await _body(await program.get(_PATH), "get", _PATH)
    assert listed["data"] == [one]

    question = {"question": "버들 하천은 길이가 얼마나 되나요?", "documents": [document["id"]]}
    answer = await _body(await program.post(f"{_PATH}/ask", question), "post", f"{_PATH}/ask")
    cited = answer["citations"][0]
    assert (cited["document"], cited["page"]) == (document["id"], 2) and "42킬로미터" in cited["quote"]
    assert PAGES[1][cited["start"] : cited["end"]] == cited["quote"]

    path = document["status_url"]
    assert (await _body(await program.call("DELETE", path), "delete", path))["deleted"] is True
    assert (await _body(await program.get(path), "get", path, 404))["error"]["code"] == "document_not_found"
    assert (await _body(await program.post(f"{_PATH}/ask", {"question": "길이"}), "post", f"{_PATH}/ask")) == {
        **{"object": "document.answer", "question": "길이"},
        **{"documents": 0, "citations": [], "written": None},
    }


async def test_a_refused_file_has_a_code_and_a_sentence(
    store: Store, memory_broker: MemoryBroker, program: Program
) -> None:
    refused = await _body(await _upload(program, "그림.gif", b"GIF89a\x00"), "post", _PATH, 400)
    assert refused["error"]["code"] == "document_kind_unknown" and "PDF" in refused["error"]["message"]
    missing = await program.post_raw(_PATH, multipart([("name", "x")]), **{"Content-Type": CONTENT_TYPE})
    assert (await _body(missing, "post", _PATH, 400))["error"]["param"] == "file"
    assert (await program.post(_PATH, {})).status_code == 415

    broken = await _body(await _upload(program, "끊김.pdf", pdf_of(PAGES)[:400]), "post", _PATH, 202)
    await _read(store, memory_broker, program)
    told = await _body(await program.get(broken["status_url"]), "get", broken["status_url"])
    assert (told["status"], told["error"]["code"]) == ("failed", "document_broken")
    assert "손상" in told["error"]["message"]


async def test_documents_of_others_are_unknown(app: Quart, store: Store, program: Program) -> None:
    document = await _body(await _upload(program, "글.txt", PAGES[0].encode()), "post", _PATH, 202)
    other = await program_of(app, store)
    asked = {"question": "도서관은?", "documents": [document["id"]]}

    assert (await other.get(document["status_url"])).status_code == 404
    assert (await other.call("DELETE", document["status_url"])).status_code == 404
    assert (await other.post(f"{_PATH}/ask", asked)).status_code == 404
    assert (await other.get(f"{_PATH}/{new_id()}")).status_code == 404
    assert (await program.get(document["status_url"])).status_code == 200


async def test_a_collection_is_made_filled_asked_renamed_and_removed(
    store: Store, memory_broker: MemoryBroker, program: Program
) -> None:
    base = f"{_PATH}/collections"
    made = await _body(await program.post(base, {"name": "마을"}), "post", base, 201)
    path = f"{base}/{made['id']}"
    inside = await _body(await _upload(program, "하천.txt", PAGES[1].encode()), "post", _PATH, 202)
    outside = await _body(await _upload(program, "축제.txt", PAGES[2].encode()), "post", _PATH, 202)
    put = f"{path}/documents/{inside['id']}"
    filled = await _body(await program.call("PUT", put), "put", put)
    assert (filled["documents"], filled["size_bytes"]) == ([inside["id"]], inside["size_bytes"])
    assert (await _body(await program.get(base), "get", base))["data"] == [filled]
    await _read(store, memory_broker, program)

    asked = {"question": "솔바람 축제의 입장료는?", "collection": made["id"]}
    assert (await _body(await program.post(f"{_PATH}/ask", asked), "post", f"{_PATH}/ask"))["citations"] == []
    asked = {"question": "버들 하천의 길이는?", "collection": made["id"]}
    answer = await _body(await program.post(f"{_PATH}/ask", asked), "post", f"{_PATH}/ask")
    assert [each["document"] for each in answer["citations"]] == [inside["id"]]
    both = await program.post(f"{_PATH}/ask", asked | {"documents": [inside["id"]]})
    assert (await _body(both, "post", f"{_PATH}/ask", 400))["error"]["code"] == "invalid_parameter_combination"

    assert (await _body(await program.post(path, {"name": "새 마을"}), "post", path))["name"] == "새 마을"
    assert (await _body(await program.call("DELETE", put), "delete", put))["documents"] == []
    assert (await _body(await program.call("DELETE", put), "delete", put, 404))["error"]["code"] == "document_not_found"
    await program.call("PUT", put)
    assert (await _body(await program.call("DELETE", f"{path}?documents=some"), "delete", path, 400))["error"]
    assert (await _body(await program.call("DELETE", f"{path}?documents=delete"), "delete", path))["deleted"]
    assert (await _body(await program.get(path), "get", path, 404))["error"]["code"] == "collection_not_found"
    listed = await _body(await program.get(_PATH), "get", _PATH)
    assert [(each["id"], each["collection"]) for each in listed["data"]] == [(outside["id"], None)]


async def test_collections_of_others_are_unknown(app: Quart, store: Store, program: Program) -> None:
    base = f"{_PATH}/collections"
    made = await _body(await program.post(base, {"name": "내것"}), "post", base, 201)
    document = await _body(await _upload(program, "글.txt", PAGES[0].encode()), "post", _PATH, 202)
    other = await program_of(app, store)
    theirs = await _body(await other.post(base, {"name": "남의 것"}), "post", base, 201)

    for path in (f"{base}/{made['id']}", f"{base}/{new_id()}", f"{base}/x"):
        assert (await other.get(path)).status_code == 404
        assert (await other.post(path, {"name": "x"})).status_code == 404
        assert (await other.call("DELETE", path)).status_code == 404
        assert (await other.call("PUT", f"{path}/documents/{document['id']}")).status_code == 404
    assert (await other.call("PUT", f"{base}/{theirs['id']}/documents/{document['id']}")).status_code == 404
    assert (await other.post(f"{_PATH}/ask", {"question": "x", "collection": made["id"]})).status_code == 404
    assert (await program.get(f"{base}/{made['id']}")).status_code == 200


async def test_markdown_comes_with_the_pictures_it_names(store: Store, program: Program) -> None:
    picture = image_file(scan_of("가"), "PNG")

    async def send(text: str) -> Response:
        body = multipart([("file", "글.md", text.encode()), ("picture", "그림.png", picture)])
        return await program.post_raw(_PATH, body, **{"Content-Type": CONTENT_TYPE})

    sent = await _body(await send("![](그림.png)"), "post", _PATH, 202)
    assert (sent["kind"], sent["name"]) == ("markdown", "글.md") and sent["size_bytes"] > len(picture)
    refused = await _body(await send("그림이 없어요"), "post", _PATH, 400)
    assert refused["error"]["param"] == "picture"
    words = multipart([("file", "글.md", b"x"), ("picture", "no file")])
    refused = await _body(await program.post_raw(_PATH, words, **{"Content-Type": CONTENT_TYPE}), "post", _PATH, 400)
    assert refused["error"]["param"] == "picture"
    assert len(await store.documents.of_user(program.user_id)) == 1
