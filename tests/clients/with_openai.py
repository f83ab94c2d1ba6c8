"""OpenAI's own client. `make test` runs these cases too (tests/e2e/test_openai_sdk.py)."""

from __future__ import annotations

from typing import Any

import openai
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.clients.cases import HELLO, SCHEMA, TALE, Case, Service, is_korean, is_mood, perform, refused

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": HELLO}]
_ROUNDING = 1e-3  # of a logprob: other rows in a batch round other digits
_TOO_LONG = [{"role": "user", "content": "가나다라 " * 20_000}]


def client_of(service: Service, **options: Any) -> OpenAI:
    given: dict[str, Any] = {"base_url": service.url, "api_key": service.key, "max_retries": 0}
    return OpenAI(**(given | options))


def _chat(service: Service, **options: Any) -> Any:
    given: dict[str, Any] = {"model": service.model, "messages": MESSAGES}
    with client_of(service) as client:
        return client.chat.completions.create(**(given | options))


def _said(service: Service, **options: Any) -> str:
    return str(_chat(service, **options).choices[0].message.content)


def models_are_listed_and_found(service: Service) -> None:
    with client_of(service) as client:
        first = client.models.list().data[0]
        assert (first.id, first.object) == (service.model, "model")
        assert client.models.retrieve(service.model) == first


def a_completion_has_words_a_reason_and_usage(service: Service) -> None:
    completion = _chat(service, max_tokens=200)

    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.system_fingerprint
    assert completion.usage.prompt_tokens > 5
    assert completion.usage.completion_tokens > 1
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


def a_stream_says_what_a_whole_answer_says(service: Service) -> None:
    with client_of(service) as client:
        stream = client.chat.completions.create(
            model=service.model, messages=MESSAGES, seed=11, stream=True, stream_options={"include_usage": True}
        )
        *chunks, last = list(stream)
    whole = _chat(service, seed=11)

    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.usage == whole.usage


def the_same_seed_gives_the_same_words_and_others_give_others(service: Service) -> None:
    said = [_said(service, seed=seed, temperature=1.5, top_p=1) for seed in (5, 5, 6, 7)]
    both = _chat(service, seed=5, temperature=1.5, top_p=1, n=2)

    assert said[0] == said[1]
    assert len(set(said)) > 1
    assert [choice.message.content for choice in both.choices] == [said[0], said[2]]


def an_answer_ends_before_a_stop_text(service: Service) -> None:
    whole = _said(service, seed=3)
    stop = whole[len(whole) // 2 :][:3]
    cut = _chat(service, seed=3, stop=[stop, "없을 글"])

    assert cut.choices[0].message.content == whole.partition(stop)[0]
    assert cut.choices[0].finish_reason == "stop"


def a_limit_of_tokens_is_told_as_the_reason(service: Service) -> None:
    for limit in ({"max_tokens": 3}, {"max_completion_tokens": 3}):
        completion = _chat(service, **limit)

        assert completion.choices[0].finish_reason == "length"
        assert completion.usage.completion_tokens == 3


def a_schema_is_kept_and_the_json_is_compact(service: Service) -> None:
    named = {"name": "mood", "schema": SCHEMA, "strict": True}

    assert is_mood(_said(service, response_format={"type": "json_schema", "json_schema": named}))


def logprobs_come_with_the_tokens(service: Service) -> None:
    (choice,) = _chat(service, logprobs=True, top_logprobs=2, temperature=0, max_tokens=5).choices

    spelled = b"".join(bytes(token.bytes or ()) for token in choice.logprobs.content)
    assert spelled.decode(errors="ignore").startswith(choice.message.content or "?")
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in choice.logprobs.content)


def a_streams_logprobs_are_those_of_the_whole_answer(service: Service) -> None:
    asked: dict[str, Any] = {"logprobs": True, "top_logprobs": 2, "seed": 11}
    with client_of(service) as client:
        stream = client.chat.completions.create(model=service.model, messages=MESSAGES, stream=True, **asked)
        choices = [choice for chunk in stream for choice in chunk.choices]
    whole = _chat(service, **asked).choices[0]

    text = "".join(choice.delta.content or "" for choice in choices)
    tokens = [token for choice in choices if choice.logprobs for token in choice.logprobs.content or ()]
    assert text
    assert b"".join(bytes(token.bytes or ()) for token in tokens).decode() == text == whole.message.content
    assert len({choice.finish_reason for choice in choices}) == 2  # more than one chunk, and the end
    assert len(tokens) == len(whole.logprobs.content)
    for streamed, token in zip(tokens, whole.logprobs.content, strict=True):
        assert streamed.token == token.token
        assert abs(streamed.logprob - token.logprob) < _ROUNDING
        assert [other.token for other in streamed.top_logprobs] == [other.token for other in token.top_logprobs]


def raw_text_is_continued(service: Service) -> None:
    with client_of(service) as client:
        asked: dict[str, Any] = {"model": service.model, "prompt": TALE, "max_tokens": 8, "seed": 1}
        completion = client.completions.create(**asked)
        stream = client.completions.create(**asked, stream=True)

        assert completion.choices[0].text
        assert completion.usage.prompt_tokens < 15  # no chat template around it
        assert "".join(chunk.choices[0].text for chunk in stream) == completion.choices[0].text


def errors_have_their_types(service: Service) -> None:
    _refused(service, openai.NotFoundError, "model", "model_not_found", model="gpt-4o")
    _refused(service, openai.BadRequestError, "temperature", "above_max_value", temperature=9)
    tools = [{"type": "function", "function": {"name": "f"}}]
    _refused(service, openai.BadRequestError, "tools", "unsupported_parameter", tools=tools)
    _refused(service, openai.BadRequestError, "nonsense", "unknown_parameter", extra_body={"nonsense": 1})
    for stream in (False, True):
        is_long = {"messages": _TOO_LONG, "stream": stream}
        _refused(service, openai.BadRequestError, "messages", "context_length_exceeded", **is_long)


def a_wrong_key_is_an_authentication_error(service: Service) -> None:
    with (
        refused(openai.AuthenticationError) as caught,
        client_of(service, api_key="sk-nunmal-" + "x" * 48) as client,
    ):
        client.models.list()

    assert getattr(caught[0], "code", "") == "invalid_api_key"


def _refused(service: Service, kind: type[openai.APIStatusError], param: str, code: str, **options: Any) -> None:
    with refused(kind) as caught:
        _chat(service, **options)
    (error,) = caught
    assert isinstance(error, openai.APIStatusError)
    assert (error.param, error.code) == (param, code)
    assert is_korean(error.message)


CASES: tuple[Case, ...] = (
    models_are_listed_and_found,
    a_completion_has_words_a_reason_and_usage,
    a_stream_says_what_a_whole_answer_says,
    the_same_seed_gives_the_same_words_and_others_give_others,
    an_answer_ends_before_a_stop_text,
    a_limit_of_tokens_is_told_as_the_reason,
    a_schema_is_kept_and_the_json_is_compact,
    logprobs_come_with_the_tokens,
    a_streams_logprobs_are_those_of_the_whole_answer,
    raw_text_is_continued,
    errors_have_their_types,
    a_wrong_key_is_an_authentication_error,
)

if __name__ == "__main__":
    perform(CASES)
