"""Every refusal under /v1 is OpenAI's envelope, in the reader's language, and tells nothing it should not."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from typing import Any

import pytest
from quart import Quart, Response

from shared.broker.memory import MemoryBroker
from shared.errors import QueueFull, StoreUnavailable
from shared.scopes import SCOPES
from shared.store import Store
from tests.factories import LANE
from tests.integration.web.api.conftest import HELLO, Desk, Program, program_of
from tests.web_visitor import WebVisitor
from web.api.openapi import OPERATIONS

pytestmark = pytest.mark.timeout(30)

_ID = "0190163d-8694-739b-aea5-966c26f8ad90"
_KEYED = [(each.method, each.path, each.scope) for each in OPERATIONS if each.scope]


async def _error(response: Response) -> dict[str, Any]:
    assert response.content_type == "application/json"
    assert "Set-Cookie" not in response.headers
    body = await response.get_json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Any] = body["error"]
    return error


def _filled(path: str) -> str:
    return re.sub(r"{\w+}", _ID, path.replace("{model}", "test"))


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer sk-nunmal-" + "x" * 48, "Basic dTpw", "Bearer \u00e9", "Bearer " + "x" * 4000],
)
async def test_without_a_key_there_is_a_401(program: Program, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path, _ in _KEYED:
        response = await program.call(method.upper(), _filled(path), headers)

        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert (await _error(response))["code"] == "invalid_api_key"


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_key_opens_only_what_it_is_for(app: Quart, store: Store, scope: str) -> None:
    program = await program_of(app, store, [other for other in SCOPES if other != scope])
    for method, path, _ in (each for each in _KEYED if each[2] == scope):
        response = await program.call(method.upper(), _filled(path))

        assert response.status_code == 403
        assert (await _error(response))["code"] == "insufficient_scope"


async def test_a_session_cookie_opens_nothing(app: Quart) -> None:
    person = WebVisitor(app)
    await person.sign_up()
    response = await person.client.get("/v1/models")

    assert response.status_code == 401
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1", 404, "unknown_url"),
        ("GET", "/v1/", 404, "unknown_url"),
        ("GET", "/v1/nothing", 404, "unknown_url"),
        ("GET", "/v1//models", 404, "unknown_url"),
        ("GET", "/v1/%FF%00", 404, "unknown_url"),
        ("GET", "/v1/models/other", 404, "model_not_found"),
        ("GET", "/v1/models/a/b", 404, "model_not_found"),
        ("GET", f"/v1/jobs/{_ID}", 404, "not_found"),
        ("GET", "/v1/jobs/%00", 404, "not_found"),
        ("GET", f"/v1/jobs/{_ID}/stream", 404, "not_found"),
        ("POST", f"/v1/jobs/{_ID}/cancel", 404, "not_found"),
        ("GET", "/v1/jobs?limit=x", 400, "invalid_type"),
        ("GET", "/v1/jobs?limit=", 400, "invalid_type"),
        ("GET", "/v1/jobs?limit=%FF", 400, "invalid_type"),
        ("GET", "/v1/jobs?limit=1&limit=2", 400, "invalid_type"),
        ("GET", "/v1/jobs?limit=0", 400, "below_min_value"),
        ("GET", "/v1/jobs?limit=" + "9" * 5000, 400, "above_max_value"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
    ],
)
async def test_unknown_things_are_json_too(program: Program, method: str, path: str, status: int, code: str) -> None:
    response = await program.call(method, path)

    assert response.status_code == status
    assert (await _error(response))["code"] == code
    assert ("Allow" in response.headers) is (status == 405)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"{}", "", 415, "unsupported_media_type"),
        (b"{", "application/json", 400, "invalid_json"),
        (b"[" * 100_000, "application/json", 400, "invalid_json"),
        (b'{"model": "\\ud800"}', "application/json", 400, "invalid_json"),
        (b"{}", "application/json; charset=utf-8", 400, "missing_required_parameter"),
        (b" " * (3 * 1024 * 1024), "application/json", 413, "request_too_large"),
    ],
)
async def test_bodies_that_cannot_be_read(program: Program, body: bytes, kind: str, status: int, code: str) -> None:
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/jobs"):
        response = await program.post_raw(path, body, **{"Content-Type": kind})

        assert response.status_code == status
        assert (await _error(response))["code"] == code


async def test_another_model_is_a_404_that_names_it(program: Program) -> None:
    response = await program.post("/v1/chat/completions", HELLO | {"model": "gpt-4o"})
    error = await _error(response)

    assert response.status_code == 404
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "gpt-4o" in error["message"]


@pytest.mark.parametrize(
    ("accepted", "sentence"),
    [
        ("", "loud은(는) 모르는 항목이에요."),
        ("ko-KR,en;q=0.5", "loud은(는) 모르는 항목이에요."),
        ("fr", "loud은(는) 모르는 항목이에요."),
        ("en-US,en;q=0.9", "loud is not known here."),
    ],
)
async def test_sentences_are_korean_unless_english_is_asked_for(program: Program, accepted: str, sentence: str) -> None:
    headers = {"Accept-Language": accepted} if accepted else {}
    response = await program.post("/v1/chat/completions", HELLO | {"loud": True}, **headers)

    assert (await _error(response))["message"].startswith(sentence)


async def test_too_many_at_once_is_a_429_with_a_time_and_stops_what_it_began(
    program: Program, store: Store, desk: Desk
) -> None:
    for _ in range(3):
        await program.post("/v1/jobs", HELLO)
        await desk.claimed()
    response = await program.post("/v1/chat/completions", HELLO | {"n": 2})
    error = await _error(response)

    assert response.status_code == 429
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert int(response.headers["Retry-After"]) >= 1
    assert "쓰신 글" not in error["message"]
    assert await store.generations.unfinished_of_user(program.user_id, 10) <= 4
    first = await desk.claimed()
    turn = await store.generations.get(first.id)
    assert turn is not None
    assert turn.cancel_requested_at is not None


async def test_a_full_queue_is_a_503_with_a_time(
    program: Program, store: Store, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*args: object) -> None:
        raise QueueFull

    monkeypatch.setattr(memory_broker, "publish_permit", full)
    response = await program.post("/v1/chat/completions", HELLO)

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    assert (await _error(response))["code"] == "queue_full"
    assert await store.generations.unfinished_of_user(program.user_id, 10) == 0


async def test_a_store_that_is_away_is_a_503(program: Program, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*args: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(store.keys, "authenticate", away)
    response = await program.get("/v1/models")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert (await _error(response))["type"] == "server_error"


async def test_an_unknown_error_tells_nothing(program: Program, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: object) -> None:
        raise RuntimeError("the secret is 1234")

    monkeypatch.setattr(store.generations, "latest", broken)
    response = await program.get("/v1/jobs")
    error = await _error(response)

    assert response.status_code == 500
    assert error["code"] == "internal_error"
    assert "1234" not in json.dumps(error)


async def test_no_other_site_may_call_from_a_browser(program: Program) -> None:
    asking = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    response = await program.call("OPTIONS", "/v1/chat/completions", asking)

    assert not [name for name, _ in response.headers if name.lower().startswith("access-control-")]


_PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/jobs")


@pytest.fixture(params=[None, 100])
async def context(request: pytest.FixtureRequest, store: Store) -> int | None:
    """What the lane's worker says. Asked for before the application, which looks at the lane as it starts."""
    length: int | None = request.param
    await store.workers.beat("w", LANE, "test", "0", 1, 0, context_length=length)
    return length


@pytest.mark.parametrize("path", _PATHS)
async def test_a_prompt_that_cannot_fit_is_refused_and_not_stored(
    context: int | None, program: Program, store: Store, path: str
) -> None:
    limit = 1600 if context else 500_000
    param = "prompt" if path == "/v1/completions" else "messages"
    text = "a" * (limit // 2 + 1)
    prompt = text * 2 if param == "prompt" else [{"role": "user", "content": text}] * 2
    response = await program.post(path, {"model": "test", param: prompt})
    error = await _error(response)

    assert response.status_code == 400
    code = "context_length_exceeded" if context else "above_max_length"
    assert (error["code"], error["param"]) == (code, param)
    assert await store.generations.waiting_in(LANE, 10) == []


def _with_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return HELLO | {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}


async def test_a_schema_that_would_keep_a_core_busy_is_a_400(program: Program) -> None:
    patterns = [{"type": "string", "pattern": f".*a.{{12}}{number}.*"} for number in range(14)]
    response = await program.post("/v1/chat/completions", _with_schema({"allOf": patterns}))
    error = await _error(response)

    assert response.status_code == 400
    assert error["param"] == "response_format.json_schema.schema"
    assert "allOf" in error["message"]


async def test_no_schema_is_looked_at_for_somebody_who_may_not_ask_now(
    program: Program, store: Store, desk: Desk
) -> None:
    for _ in range(4):
        await program.post("/v1/jobs", HELLO)
        await desk.claimed()

    assert (await program.post("/v1/jobs", _with_schema({"type": "strange"}))).status_code == 429


async def test_when_many_schemas_wait_to_be_looked_at_the_next_is_asked_to_come_again(
    app: Quart, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    monkeypatch.setattr("web.api.drafts.check_schema", lambda schema: may_go_on.wait(10))
    programs = [await program_of(app, store) for _ in range(25)]
    body = _with_schema({"type": "object"})
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(program.post("/v1/jobs", body)) for program in programs]
        while sum(task.done() for task in asked) < 5:  # noqa: ASYNC110  # the answers are the event
            await asyncio.sleep(0)
        assert all(task.result().status_code == 503 for task in asked if task.done())
        assert all("Retry-After" in task.result().headers for task in asked if task.done())
        may_go_on.set()

    assert [task.result().status_code for task in asked].count(202) == 20
