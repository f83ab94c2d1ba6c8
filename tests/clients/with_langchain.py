"""LangChain's ChatOpenAI, and its OpenAI for raw text."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI, OpenAI

from tests.clients.cases import HELLO, SCHEMA, TALE, Service, is_korean, perform, refused


def _chat(service: Service, **options: Any) -> Any:
    options = {"model": service.model, "base_url": service.url, "api_key": service.key, "max_retries": 0} | options
    return ChatOpenAI(**options)


def an_answer_has_words_and_usage(service: Service) -> None:
    answer = _chat(service, max_tokens=200).invoke(HELLO)

    assert answer.content
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.usage_metadata["total_tokens"] > answer.usage_metadata["input_tokens"] > 5


def a_stream_says_what_a_whole_answer_says(service: Service) -> None:
    chat = _chat(service, seed=11, stream_usage=True)
    chunks = list(chat.stream(HELLO))
    whole = chat.invoke(HELLO)

    assert "".join(chunk.content for chunk in chunks) == whole.content
    usages = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert usages[-1]["output_tokens"] == whole.usage_metadata["output_tokens"]


def the_same_seed_gives_the_same_words(service: Service) -> None:
    said = [_chat(service, seed=seed, temperature=1.5).invoke(HELLO).content for seed in (5, 5, 6, 7)]

    assert said[0] == said[1]
    assert len(set(said)) > 1


def an_answer_ends_before_a_stop_text(service: Service) -> None:
    chat = _chat(service, seed=3)
    whole = chat.invoke(HELLO).content
    stop = whole[len(whole) // 2 :][:3]

    assert chat.invoke(HELLO, stop=[stop]).content == whole.partition(stop)[0]


def a_schema_is_kept(service: Service) -> None:
    structured = _chat(service).with_structured_output(SCHEMA | {"title": "mood"}, method="json_schema", strict=True)
    mood = structured.invoke(HELLO)

    assert mood["mood"] in ("좋음", "나쁨")
    assert 0 <= mood["score"] <= 9


def a_chain_of_a_prompt_with_a_system_message_answers(service: Service) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "짧게 답하세요."), ("user", "{topic}에 대해 말해 주세요.")])
    answers = (prompt | _chat(service, max_tokens=20)).batch([{"topic": "바다"}, {"topic": "산책"}])

    assert all(answer.content for answer in answers)


def it_streams_in_an_event_loop(service: Service) -> None:
    async def read() -> str:
        return "".join([chunk.content async for chunk in _chat(service, seed=2).astream(HELLO)])

    assert asyncio.run(read()) == _chat(service, seed=2).invoke(HELLO).content


def raw_text_is_continued(service: Service) -> None:
    options: Any = {"model": service.model, "base_url": service.url, "api_key": service.key}
    text = OpenAI(**options, max_tokens=8, seed=1)
    whole = text.invoke(TALE)

    assert whole
    assert whole == "".join(text.stream(TALE))


def errors_have_their_types(service: Service) -> None:
    for kind, changes in (
        (openai.AuthenticationError, {"api_key": "sk-nunmal-" + "x" * 48}),
        (openai.NotFoundError, {"model": "gpt-4o"}),
        (openai.BadRequestError, {"temperature": 9}),
    ):
        with refused(kind) as caught:
            _chat(service, **changes).invoke(HELLO)
        assert is_korean(str(caught[0]))


if __name__ == "__main__":
    perform(
        (
            an_answer_has_words_and_usage,
            a_stream_says_what_a_whole_answer_says,
            the_same_seed_gives_the_same_words,
            an_answer_ends_before_a_stop_text,
            a_schema_is_kept,
            a_chain_of_a_prompt_with_a_system_message_answers,
            it_streams_in_an_event_loop,
            raw_text_is_continued,
            errors_have_their_types,
        )
    )
