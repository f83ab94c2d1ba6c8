"""/v1/digests: one article, a batch with bad ones in it, and who may see what."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from quart import Quart, Response

from shared.broker.memory import MemoryBroker
from shared.store import Store
from tests.ingest_house import digest_worker, digested
from tests.integration.web.api.conftest import Program, program_of
from tests.unit.shared.test_digesting import KOREAN


async def _json(response: Response, status: int = 200) -> Any:
    body = await response.get_json()
    assert response.status_code == status, body
    return body


async def _post(program: Program, path: str, body: dict[str, Any]) -> Response:
    """With its length, as clients send it: a large body waits until its route wants it."""
    data = json.dumps(body).encode()
    return await program.post_raw(path, data, **{"Content-Length": str(len(data))})


async def _made(store: Store, broker: MemoryBroker, user_id: str) -> None:
    async with digest_worker(store, broker):
        for job in await store.digests.of_user(user_id):
            await digested(store, job)


async def test_an_article_is_digested_to_the_published_schema(
    program: Program, store: Store, memory_broker: MemoryBroker
) -> None:
    article = {"content": KOREAN, "source_type": "blog", "url": "https://example.com/a", "language": "ko", "views": 3}
    schema = await _json(await program.client.get("/v1/digests/schema"))
    jsonschema.Draft202012Validator(schema["article"]).validate(article)

    sent = await program.post("/v1/digests", article)
    task = await _json(sent, 202)
    assert sent.headers["Location"] == task["status_url"]
    assert (task["status"], task["result"], task["article"]["views"]) == ("queued", None, 3)
    assert (await _json(await program.post("/v1/digests", article), 202))["id"] == task["id"]
    await _made(store, memory_broker, program.user_id)

    done = await _json(await program.get(task["status_url"]))
    assert (done["status"], done["error"]) == ("done", None)
    jsonschema.Draft202012Validator(schema["digest"]).validate(done["result"])
    assert done["result"]["summary_by"] == "extract" and done["result"]["keywords"]
    assert [each["id"] for each in (await _json(await program.get("/v1/digests")))["data"]] == [task["id"]]
    assert (await _json(await program.call("DELETE", task["status_url"])))["deleted"] == 1
    assert (await program.get(task["status_url"])).status_code == 404


async def test_a_batch_tells_its_progress_and_what_is_wrong_with_each(
    program: Program, store: Store, memory_broker: MemoryBroker
) -> None:
    articles = [
        {"content": KOREAN},
        {"content": ""},
        {"content": "글" * (2 << 20)},
        {"content": "Привет, мир! " * 30},
        7,
    ]
    batch = await _json(await _post(program, "/v1/digests/batches", {"articles": articles}), 202)
    assert (batch["status"], batch["total"], batch["done"], batch["failed"]) == ("running", 5, 0, 3)
    await _made(store, memory_broker, program.user_id)

    batch = await _json(await program.get(batch["status_url"]))
    assert (batch["status"], batch["done"], batch["failed"]) == ("done", 1, 4)
    codes = [each["error"] and each["error"]["code"] for each in batch["data"]]
    assert codes == [None, "digest_empty", "digest_too_large", "digest_language_unknown", "digest_json_invalid"]
    assert "1024KiB" in batch["data"][2]["error"]["message"]
    assert (await _json(await program.call("DELETE", batch["status_url"])))["deleted"] == 5
    assert await store.digests.of_user(program.user_id) == []


async def test_what_is_refused_says_where_and_keeps_nothing(program: Program, store: Store) -> None:
    refused: list[tuple[dict[str, Any], str, str | None]] = [
        ({}, "missing_required_parameter", "content"),
        ({"content": " "}, "digest_empty", None),
        ({"content": "\x00\x01"}, "document_kind_unknown", None),
        ({"content": "글", "language": "fr"}, "unsupported_value", "language"),
        ({"content": "글", "colour": 1}, "unknown_parameter", "colour"),
        ({"content": "글" * (1 << 20)}, "digest_too_large", None),
    ]
    for body, code, param in refused:
        error = (await _json(await _post(program, "/v1/digests", body), 400))["error"]
        assert (error["code"], error["param"]) == (code, param)
    assert (await _post(program, "/v1/digests", {"content": "글" * (5 << 20)})).status_code == 413
    assert await store.digests.of_user(program.user_id) == []


async def test_a_foreign_digest_is_not_there_and_a_scope_is_needed(app: Quart, program: Program, store: Store) -> None:
    task = await _json(await program.post("/v1/digests", {"content": KOREAN}), 202)
    batch = await _json(await program.post("/v1/digests/batches", {"articles": [{"content": KOREAN}]}), 202)
    other = await program_of(app, store)

    for address in (task["status_url"], batch["status_url"]):
        assert (await other.get(address)).status_code == 404
        assert (await other.call("DELETE", address)).status_code == 404
    assert (await _json(await other.get("/v1/digests")))["data"] == []
    without = await program_of(app, store, ["chat"])
    assert (await _json(await without.get("/v1/digests"), 403))["error"]["code"] == "insufficient_scope"
