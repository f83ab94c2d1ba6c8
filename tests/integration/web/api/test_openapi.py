"""The served document describes what the routes really take and give."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from quart import Quart, Response

from shared.chat import GenerationState
from shared.errors import GenerationCrashed
from shared.store import Store
from tests.integration.web.api.conftest import HELLO, Desk, Program, chunks_of
from tests.scripted_worker import ScriptedWorker
from tests.web_visitor import parse_events
from web.api.openapi import openapi_document

pytestmark = pytest.mark.timeout(30)

DOCUMENT = json.loads(openapi_document())


def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]})


def _described(method: str, path: str) -> dict[str, Any]:
    """The operation of a real address; one without a place for a name comes first, as OpenAPI says."""
    for template, methods in sorted(DOCUMENT["paths"].items(), key=lambda path: path[0].count("{")):
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path.partition("?")[0]) and method in methods:
            operation: dict[str, Any] = methods[method]
            return operation
    raise AssertionError(f"{method} {path} is not in the document")


async def _checked(response: Response, method: str, path: str) -> Any:
    """Its body, after its status, type and shape were found in the document."""
    described = _described(method, path)["responses"][str(response.status_code)]
    content = described["content"][str(response.content_type).partition(";")[0]]["schema"]
    if "$ref" not in content:
        return await response.get_data(as_text=True)
    body = await response.get_json()
    _validator(content["$ref"].rpartition("/")[2]).validate(body)
    return body


async def test_it_is_served_to_everybody_and_lists_every_route(app: Quart, program: Program) -> None:
    served = await (await program.client.get("/v1/openapi.json")).get_json()
    listed = {(method, path) for path, methods in served["paths"].items() for method in methods}
    routes = {
        (method.lower(), re.sub(r"<(?:[\w()=]+:)?\w+>", "{}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/v1")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert served == DOCUMENT
    assert {(method, re.sub(r"{\w+}", "{}", path)) for method, path in listed} == routes


def test_its_schemas_are_schemas_and_all_their_references_lead_somewhere() -> None:
    names = set(DOCUMENT["components"]["schemas"])
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)

    assert set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT))) <= names


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"messages": [{"role": "system", "content": [{"type": "text", "text": "짧게."}]}], "stop": ["a", "b"]},
        {"temperature": 0, "top_p": 1, "seed": -5, "n": 4, "max_completion_tokens": 5, "tools": [], "user": "u"},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
        {"stream": True, "stream_options": {"include_usage": True}, "logit_bias": None},
    ],
)
async def test_what_is_taken_fits_the_document(
    program: Program, worker: ScriptedWorker, changes: dict[str, Any]
) -> None:
    body = HELLO | changes
    response = await program.post("/v1/chat/completions", body)

    assert response.status_code == 200
    assert _validator("ChatCompletionRequest").is_valid(body)
    told = await _checked(response, "post", "/v1/chat/completions")
    if body.get("stream"):
        for chunk in filter(None, chunks_of(told)):
            _validator("ChatCompletionChunk").validate(chunk)


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": []},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "tool", "content": ""}]},
        {"temperature": 3},
        {"n": 5},
        {"seed": 2**63},
        {"stop": ["a"] * 5},
        {"tools": [{}]},
        {"store": True},
        {"nonsense": 1},
        {"response_format": {"type": "xml"}},
    ],
)
async def test_what_is_refused_does_not_fit_it(program: Program, changes: dict[str, Any]) -> None:
    body = HELLO | changes
    response = await program.post("/v1/chat/completions", body)

    assert response.status_code == 400
    await _checked(response, "post", "/v1/chat/completions")
    assert not _validator("ChatCompletionRequest").is_valid(body)


async def test_every_answer_of_every_route_fits_it(program: Program, worker: ScriptedWorker) -> None:
    async def get(path: str) -> Any:
        return await _checked(await program.get(path), "get", path)

    async def post(path: str, body: dict[str, Any]) -> Any:
        return await _checked(await program.post(path, body), "post", path)

    text = {"model": "test", "prompt": "옛날에"}
    await post("/v1/completions", text)
    for chunk in filter(None, chunks_of(await post("/v1/completions", text | {"stream": True}))):
        _validator("Completion").validate(chunk)
    assert (await get("/v1/models"))["data"] == [await get("/v1/models/test")]
    job = await post("/v1/jobs", HELLO)
    for event in parse_events(await get(job["stream_url"])):
        _validator({"state": "JobState", "text": "JobText", "done": "Job"}[event.name]).validate(event.data)
    await get(job["status_url"])
    await get("/v1/jobs?limit=5")
    await post(job["cancel_url"], {})
    for path in ("/v1/models/x", "/v1/jobs/x", "/v1/jobs/x/stream", "/v1/jobs?limit=x"):
        await get(path)
    await post("/v1/jobs/x/cancel", {})
    await get("/v1/digests/schema")
    digest = await post("/v1/digests", {"content": "글"})
    await get(digest["status_url"])
    batch = await post("/v1/digests/batches", {"articles": [{"content": "글"}, {}]})
    await get(batch["status_url"])
    for path in ("/v1/digests?limit=5", "/v1/digests?limit=x", "/v1/digests/x", "/v1/digests/batches/x"):
        await get(path)
    for path in (digest["status_url"], digest["status_url"], batch["status_url"], batch["status_url"]):
        await _checked(await program.call("DELETE", path), "delete", path)
    for path in ("/v1/digests", "/v1/digests/batches"):
        await post(path, {"articles": 3})
    for path in ("/v1/completions", "/v1/jobs", "/v1/chat/completions"):
        await post(path, {"model": "test"})
        response = await program.post_raw(path, b"{}", **{"Content-Type": "text/plain"})
        await _checked(response, "post", path)


async def test_failed_jobs_fit_it_too(program: Program, store: Store, desk: Desk) -> None:
    job = await (await program.post("/v1/jobs", HELLO)).get_json()
    claimed = await desk.claimed()
    await store.generations.finish(claimed.id, 1, GenerationState.FAILED, [], "", GenerationCrashed())

    found = await _checked(await program.get(job["status_url"]), "get", job["status_url"])
    assert found["status"] == "failed"
