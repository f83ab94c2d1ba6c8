"""OpenAI's own client, unmodified, against a service with the reference model."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.models import babbling_model
from tests.service import ROOT, Process

pytestmark = pytest.mark.timeout(180)

MODEL = "reference"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "안녕하세요? 오늘 기분이 어때요?"}]
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"enum": ["좋음", "나쁨"]}, "score": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["mood", "score"],
    "additionalProperties": False,
}


def _key(home: Path, email: str) -> str:
    """An account and a key for it, made while the service runs."""
    nunmal = str(Path(sys.executable).with_name("nunmal"))
    settings = {"NUNMAL_HOME": str(home)}

    def run(*command: str, given: str = "") -> str:
        done = subprocess.run(
            [nunmal, *command], cwd=ROOT, env=settings, input=given, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    run("users", "create", email, "--name", "프로그램", given="correct horse battery staple\n")
    return run("keys", "create", email)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    home = tmp_path_factory.mktemp("home")
    with Process("up", "--port", "0", NUNMAL_HOME=str(home)) as process:
        address = process.wait_ready()
        with OpenAI(base_url=f"{address}/v1", api_key=_key(home, "sdk@example.com"), max_retries=0) as client:
            yield client
    assert "Traceback" not in process.output


def _said(client: OpenAI, **options: Any) -> str:
    completion = client.chat.completions.create(model=MODEL, messages=HELLO, **options)
    return str(completion.choices[0].message.content)


def test_models_are_listed_and_found(client: OpenAI) -> None:
    (model,) = client.models.list().data

    assert (model.id, model.object) == (MODEL, "model")
    assert client.models.retrieve(MODEL) == model


def test_a_completion_has_words_a_reason_and_usage(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=200)

    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.system_fingerprint
    assert completion.usage is not None
    assert completion.usage.prompt_tokens > 5
    assert completion.usage.completion_tokens > 1
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


def test_a_stream_says_what_a_whole_answer_says(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=HELLO, seed=11, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    whole = client.chat.completions.create(model=MODEL, messages=HELLO, seed=11)

    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.usage == whole.usage


def test_the_same_seed_gives_the_same_words_and_others_give_others(client: OpenAI) -> None:
    said = [_said(client, seed=seed, temperature=1.5, top_p=1) for seed in (5, 5, 6, 7)]
    both = client.chat.completions.create(model=MODEL, messages=HELLO, seed=5, temperature=1.5, top_p=1, n=2)

    assert said[0] == said[1]
    assert len(set(said)) > 1
    assert [choice.message.content for choice in both.choices] == [said[0], said[2]]


def test_an_answer_ends_before_a_stop_text(client: OpenAI) -> None:
    whole = _said(client, seed=3)
    stop = whole[len(whole) // 2 :][:3]
    cut = client.chat.completions.create(model=MODEL, messages=HELLO, seed=3, stop=[stop, "없을 글"])

    assert cut.choices[0].message.content == whole.partition(stop)[0]
    assert cut.choices[0].finish_reason == "stop"


def test_a_limit_of_tokens_is_told_as_the_reason(client: OpenAI) -> None:
    for limit in ({"max_tokens": 3}, {"max_completion_tokens": 3}):
        completion = client.chat.completions.create(model=MODEL, messages=HELLO, **limit)  # type: ignore[call-overload]

        assert completion.choices[0].finish_reason == "length"
        assert completion.usage.completion_tokens == 3


def test_a_schema_is_kept_and_the_json_is_compact(client: OpenAI) -> None:
    named = {"name": "mood", "schema": SCHEMA, "strict": True}
    said = _said(client, response_format={"type": "json_schema", "json_schema": named})

    mood = json.loads(said)
    assert mood["mood"] in ("좋음", "나쁨")
    assert 0 <= mood["score"] <= 9
    assert said == json.dumps(mood, ensure_ascii=False, separators=(",", ":"))


def test_logprobs_come_with_the_tokens(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=HELLO, logprobs=True, top_logprobs=2, temperature=0, max_tokens=5
    )
    (choice,) = completion.choices

    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    spelled = b"".join(bytes(token.bytes or ()) for token in choice.logprobs.content)
    assert spelled.decode(errors="ignore").startswith(choice.message.content or "?")
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in choice.logprobs.content)


def test_raw_text_is_continued(client: OpenAI) -> None:
    completion = client.completions.create(model=MODEL, prompt="안녕하세요", max_tokens=5, seed=1)
    stream = client.completions.create(model=MODEL, prompt="안녕하세요", max_tokens=5, seed=1, stream=True)

    assert completion.usage is not None
    assert completion.usage.prompt_tokens < 10  # no chat template around it
    assert "".join(chunk.choices[0].text for chunk in stream) == completion.choices[0].text


@pytest.mark.parametrize(
    ("options", "kind", "param", "code"),
    [
        ({"model": "gpt-4o"}, openai.NotFoundError, "model", "model_not_found"),
        ({"temperature": 9}, openai.BadRequestError, "temperature", "above_max_value"),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            *(openai.BadRequestError, "tools", "unsupported_parameter"),
        ),
        ({"extra_body": {"nonsense": 1}}, openai.BadRequestError, "nonsense", "unknown_parameter"),
        (
            {"messages": [{"role": "user", "content": "가나다라 " * 20_000}]},
            *(openai.BadRequestError, "messages", "context_length_exceeded"),
        ),
        (
            {"messages": [{"role": "user", "content": "가나다라 " * 20_000}], "stream": True},
            *(openai.BadRequestError, "messages", "context_length_exceeded"),
        ),
    ],
)
def test_errors_have_their_types(
    client: OpenAI, options: dict[str, Any], kind: type[openai.APIStatusError], param: str, code: str
) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**({"model": MODEL, "messages": HELLO} | options))

    assert (caught.value.param, caught.value.code) == (param, code)
    assert any("가" <= letter <= "힣" for letter in caught.value.message)


def test_a_wrong_key_is_an_authentication_error(client: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key="sk-nunmal-" + "x" * 48).models.list()

    assert caught.value.code == "invalid_api_key"


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """A model that writes for seconds, and one answer at a time for each account."""
    model = babbling_model(tmp_path_factory.mktemp("model") / "babbler", max_new_tokens=1000)
    home = tmp_path_factory.mktemp("home")
    settings = {"NUNMAL_HOME": str(home), "NUNMAL_MODEL": str(model), "NUNMAL_WEB__ANSWERS_PER_USER": "1"}
    with Process("up", "--port", "0", **settings) as process:
        address = process.wait_ready()
        with OpenAI(base_url=f"{address}/v1", api_key=_key(home, "sdk@example.com"), max_retries=0) as client:
            yield client


def test_who_is_refused_tries_again_when_told_and_gets_an_answer(babbler: OpenAI) -> None:
    refused = threading.Event()

    def seen(response: Any) -> None:
        if response.status_code == 429:
            assert int(response.headers["Retry-After"]) >= 1
            refused.set()

    with babbler.chat.completions.create(model="babbler", messages=HELLO, stream=True) as stream:
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as caught:
            babbler.chat.completions.create(model="babbler", messages=HELLO, max_tokens=3)
        assert caught.value.code == "rate_limit_exceeded"

        with openai.DefaultHttpxClient(event_hooks={"response": [seen]}) as http, ThreadPoolExecutor(1) as pool:
            patient = babbler.with_options(max_retries=8, http_client=http)
            later = pool.submit(patient.chat.completions.create, model="babbler", messages=HELLO, max_tokens=3)
            assert refused.wait(30)
            stream.close()
            assert later.result(60).choices[0].message.content


def test_a_stream_that_is_closed_frees_its_slot(babbler: OpenAI) -> None:
    with babbler.chat.completions.create(model="babbler", messages=HELLO, stream=True) as stream:
        first = next(iter(stream))
    babbler.with_options(max_retries=8).chat.completions.create(model="babbler", messages=HELLO, max_tokens=1)

    job = babbler.get(f"/jobs/{first.id}", cast_to=httpx.Response).json()
    assert job["status"] == "stopped"
    assert job["result"]["usage"]["completion_tokens"] < 1000
