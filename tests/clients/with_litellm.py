"""LiteLLM, which many programs use as their way to any model."""

from __future__ import annotations

import asyncio
from typing import Any

import litellm

from tests.clients.cases import HELLO, SCHEMA, Service, is_korean, is_mood, perform, refused

_TOO_LONG: dict[str, Any] = {"messages": [{"role": "user", "content": "가나다라 " * 20_000}]}


def _options(service: Service, **options: Any) -> dict[str, Any]:
    return {
        "model": f"openai/{service.model}",
        "messages": [{"role": "user", "content": HELLO}],
        "api_base": service.url,
        "api_key": service.key,
        "num_retries": 0,
    } | options


def _said(service: Service, **options: Any) -> str:
    return str(litellm.completion(**_options(service, **options)).choices[0].message.content)


def a_completion_has_words_and_usage(service: Service) -> None:
    completion = litellm.completion(**_options(service, max_tokens=200))

    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens > 5


def a_stream_says_what_a_whole_answer_says(service: Service) -> None:
    options = _options(service, seed=11)
    chunks = list(litellm.completion(**options, stream=True, stream_options={"include_usage": True}))
    whole = litellm.completion(**options)

    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    usages = [usage for chunk in chunks if (usage := getattr(chunk, "usage", None))]
    assert usages[-1].completion_tokens == whole.usage.completion_tokens


def the_same_seed_gives_the_same_words(service: Service) -> None:
    said = [_said(service, seed=seed, temperature=1.5) for seed in (5, 5, 6, 7)]

    assert said[0] == said[1]
    assert len(set(said)) > 1


def an_answer_ends_before_a_stop_text(service: Service) -> None:
    whole = _said(service, seed=3)
    stop = whole[len(whole) // 2 :][:3]

    assert _said(service, seed=3, stop=[stop]) == whole.partition(stop)[0]


def a_schema_is_kept(service: Service) -> None:
    named = {"name": "mood", "schema": SCHEMA, "strict": True}

    assert is_mood(_said(service, response_format={"type": "json_schema", "json_schema": named}))


def it_answers_several_at_once(service: Service) -> None:
    async def ask() -> list[Any]:
        return await asyncio.gather(*(litellm.acompletion(**_options(service, seed=seed)) for seed in range(4)))

    assert [completion.choices[0].message.content for completion in asyncio.run(ask())] == [
        _said(service, seed=seed) for seed in range(4)
    ]


def errors_have_their_types(service: Service) -> None:
    for kind, changes in (
        (litellm.AuthenticationError, {"api_key": "sk-nunmal-" + "x" * 48}),
        (litellm.NotFoundError, {"model": "openai/gpt-4o"}),
        (litellm.BadRequestError, {"temperature": 9}),
        (litellm.BadRequestError, _TOO_LONG),
    ):
        with refused(kind) as caught:
            litellm.completion(**_options(service, **changes))
        assert is_korean(str(caught[0]))


def a_long_prompt_is_known_for_what_it_is_in_english(service: Service) -> None:
    """LiteLLM looks for OpenAI's English words, not for the code."""
    with refused(litellm.ContextWindowExceededError):
        litellm.completion(**_options(service, **_TOO_LONG, extra_headers={"Accept-Language": "en"}))


if __name__ == "__main__":
    perform(
        (
            a_completion_has_words_and_usage,
            a_stream_says_what_a_whole_answer_says,
            the_same_seed_gives_the_same_words,
            an_answer_ends_before_a_stop_text,
            a_schema_is_kept,
            it_answers_several_at_once,
            errors_have_their_types,
            a_long_prompt_is_known_for_what_it_is_in_english,
        )
    )
