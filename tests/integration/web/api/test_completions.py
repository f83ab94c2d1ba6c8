"""Completions as OpenAI shapes them, over the same lane that pages use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState, Message, Origin, Role, TokenLogprob
from shared.errors import PromptTooLong
from shared.store import Store
from tests.factories import LANE
from tests.integration.web.api.conftest import HELLO, Desk, Program, chunks_of
from tests.scripted_worker import ScriptedWorker, Unsayable
from tests.web_visitor import WebVisitor

pytestmark = pytest.mark.timeout(30)


async def test_a_chat_completion(program: Program, worker: ScriptedWorker, store: Store) -> None:
    response = await program.post("/v1/chat/completions", HELLO)
    body = await response.get_json()

    assert response.status_code == 200
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "안녕하세요!", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert (body["object"], body["model"], body["system_fingerprint"]) == ("chat.completion", "test", "fp_00000000")
    assert body["usage"] == {"prompt_tokens": 0, "completion_tokens": 6, "total_tokens": 6}
    turn = await store.generations.get(body["id"].removeprefix("chatcmpl-"))
    assert turn is not None
    assert (turn.origin, turn.prompt) == (Origin.CHAT, (Message(Role.USER, "안녕?"),))
    assert turn.user_id == program.user_id


async def test_raw_text_goes_on_as_it_is(program: Program, worker: ScriptedWorker, store: Store) -> None:
    response = await program.post("/v1/completions", {"model": "test", "prompt": ["옛날 옛적에"], "max_tokens": 5})
    body = await response.get_json()

    assert (body["object"], body["choices"][0]["text"]) == ("text_completion", "안녕하세요!")
    turn = await store.generations.get(body["id"].removeprefix("cmpl-"))
    assert turn is not None
    assert (turn.prompt, turn.sampling.max_new_tokens) == ("옛날 옛적에", 5)


async def test_choices_are_generations_with_seeds_of_their_own(
    program: Program, store: Store, memory_broker: MemoryBroker
) -> None:
    async def say_seed(asked: Generation) -> AsyncIterator[str]:
        yield f"씨앗 {asked.seed}"

    async with ScriptedWorker(store, memory_broker, LANE, say_seed):
        body = await (await program.post("/v1/chat/completions", HELLO | {"n": 3, "seed": 7})).get_json()

    assert [choice["message"]["content"] for choice in body["choices"]] == ["씨앗 7", "씨앗 8", "씨앗 9"]
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]


async def test_it_is_in_no_list_of_conversations(app: Quart, store: Store, worker: ScriptedWorker) -> None:
    person = WebVisitor(app)
    await person.sign_up()
    (session,) = await store.sessions._sessions.find({}).to_list(None)
    _, secret = await store.keys.create(session["user_id"])

    program = Program(app, session["user_id"], secret)
    body = await (await program.post("/v1/chat/completions", HELLO)).get_json()

    assert await store.conversations.latest(session["user_id"]) == []
    assert (await person.get(f"/chat/{body['id'].removeprefix('chatcmpl-')}")).status_code == 404


async def test_logprobs_come_with_every_token(program: Program, store: Store, desk: Desk) -> None:
    asking = asyncio.create_task(
        program.post("/v1/chat/completions", HELLO | {"logprobs": True, "top_logprobs": 1, "max_tokens": 2})
    )
    claimed = await desk.claimed()
    told = (TokenLogprob("네".encode(), -0.5, (TokenLogprob("네".encode(), -0.5),)), TokenLogprob(b".", -1.0))
    await store.generations.finish(
        claimed.id, 1, GenerationState.DONE, [1, 2], "네.", prompt_tokens=3, finish_reason="length", logprobs=told
    )
    body = await (await asking).get_json()

    (choice,) = body["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["logprobs"]["content"] == [
        {
            "token": "네",
            "bytes": list("네".encode()),
            "logprob": -0.5,
            "top_logprobs": [{"token": "네", "bytes": list("네".encode()), "logprob": -0.5}],
        },
        {"token": ".", "bytes": [46], "logprob": -1.0, "top_logprobs": []},
    ]
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body", "param"),
    [("/v1/chat/completions", HELLO, "messages"), ("/v1/completions", {"model": "test", "prompt": "긴 글"}, "prompt")],
)
async def test_a_prompt_that_does_not_fit_is_a_400_with_its_name(
    program: Program, store: Store, desk: Desk, path: str, body: dict[str, Any], param: str, stream: bool
) -> None:
    asking = asyncio.create_task(program.post(path, body | {"stream": stream}))
    claimed = await desk.claimed()
    await store.generations.finish(
        claimed.id, 1, GenerationState.FAILED, [], "", PromptTooLong(tokens=5000, limit=4096)
    )
    response = await asking
    error = (await response.get_json())["error"]

    assert response.status_code == 400
    assert (error["code"], error["param"], error["type"]) == (
        *("context_length_exceeded", param),
        "invalid_request_error",
    )
    assert "4096" in error["message"]


async def test_an_answer_that_fails_stops_the_others_and_says_no_more_than_it_may(
    program: Program, store: Store, memory_broker: MemoryBroker
) -> None:
    async def say(asked: Generation) -> AsyncIterator[str]:
        if asked.seed == 1:
            raise Unsayable
        for _ in range(1000):
            yield "말 "
            await asyncio.sleep(0.01)

    async with ScriptedWorker(store, memory_broker, LANE, say) as worker:
        response = await program.post("/v1/chat/completions", HELLO | {"n": 2, "seed": 0})
        await worker.has_ended(2)

    assert response.status_code == 500
    assert (await response.get_json())["error"]["code"] == "generation_crashed"
    turns = [await store.generations.get(row["_id"]) for row in await _rows(store)]
    assert {str(turn.state) for turn in turns if turn} == {"failed", "stopped"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("n", [1, 2])
async def test_a_client_that_leaves_stops_its_answers(
    program: Program, store: Store, desk: Desk, stream: bool, n: int
) -> None:
    headers = program.headers | {"Content-Type": "application/json"}
    connection = program.client.request("/v1/chat/completions", method="POST", headers=headers)
    async with connection:
        await connection.send(json.dumps(HELLO | {"stream": stream, "n": n}).encode())
        await connection.send_complete()
        claims = [await desk.claimed() for _ in range(n)]
        if stream:
            await store.generations.checkpoint(claims[0].id, 1, [1], "네", "0")
            await connection.receive()
        await connection.disconnect()

        assert {await desk.cancelled() for _ in claims} == {claim.id for claim in claims}


async def test_the_page_and_the_api_wait_in_one_line(app: Quart, program: Program, store: Store) -> None:
    person = WebVisitor(app)
    await person.sign_up()
    for number in range(3):
        await person.get("/chat")
        await person.ask(f"질문 {number}")

    await program.post("/v1/jobs", HELLO)
    claims = [await store.generations.claim(LANE, "w") for _ in range(4)]
    origins = [claim.origin for claim in claims if claim]

    assert origins.index(Origin.JOB) <= 1  # behind one question of the other, not three


async def test_stream_chunks_have_the_shape_of_openai(program: Program, worker: ScriptedWorker) -> None:
    body = HELLO | {"stream": True, "stream_options": {"include_usage": True}}
    response = await program.post("/v1/chat/completions", body)
    *chunks, usage, done = chunks_of(await response.get_data(as_text=True))

    assert response.content_type == "text/event-stream; charset=utf-8"
    assert done is None
    assert {(chunk["object"], chunk["id"], chunk["usage"]) for chunk in chunks} == {
        ("chat.completion.chunk", usage["id"], None)
    }
    (first,), (last,) = chunks[0]["choices"], chunks[-1]["choices"]
    assert first["delta"] == {"role": "assistant", "content": ""}
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "안녕하세요!"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 6


async def test_without_the_option_no_chunk_speaks_of_usage(program: Program, worker: ScriptedWorker) -> None:
    response = await program.post("/v1/completions", {"model": "test", "prompt": "옛날에", "stream": True})
    *chunks, done = chunks_of(await response.get_data(as_text=True))

    assert done is None
    assert all("usage" not in chunk for chunk in chunks)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "안녕하세요!"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "stop"


async def _rows(store: Store) -> list[Any]:
    return list(await store.generations._generations.find({}).to_list(None))
