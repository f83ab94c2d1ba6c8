"""What a request may say: OpenAI's types and limits, and a name for whatever is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.chat import Role
from shared.errors import InputError, NunmalError, SchemaUnsupported
from web.api import drafts
from web.api.body import parse_body
from web.api.problems import BodyInvalid
from web.api.requests import ChatCompletionRequest, CompletionRequest, JobRequest

HELLO = [{"role": "user", "content": "안녕?"}]
_STRANGE_TYPE = ("unsupported_value", "messages[0].content[0].type")


def asked(**changes: Any) -> ChatCompletionRequest:
    return parse_body(json.dumps({"model": "m", "messages": HELLO} | changes).encode(), ChatCompletionRequest)


def draft(**changes: Any) -> Any:
    (first, *_) = drafts.of_chat(asked(**changes), "user", "lane")
    return first


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"temperature": "1"}, "invalid_type", "temperature"),
        ({"temperature": True}, "invalid_type", "temperature"),
        ({"temperature": 2.1}, "above_max_value", "temperature"),
        ({"temperature": -0.1}, "below_min_value", "temperature"),
        ({"top_p": 1.5}, "above_max_value", "top_p"),
        ({"presence_penalty": -3}, "below_min_value", "presence_penalty"),
        ({"top_k": -2}, "below_min_value", "top_k"),
        ({"top_k": 1.5}, "invalid_type", "top_k"),
        ({"min_p": 1.1}, "above_max_value", "min_p"),
        ({"repetition_penalty": 0}, "below_min_value", "repetition_penalty"),
        ({"repetition_penalty": 2.5}, "above_max_value", "repetition_penalty"),
        ({"n": 0}, "below_min_value", "n"),
        ({"n": 5}, "above_max_value", "n"),
        ({"n": 1.0}, "invalid_type", "n"),
        ({"max_tokens": 0}, "below_min_value", "max_tokens"),
        ({"max_tokens": 10**400}, "above_max_value", "max_tokens"),
        ({"seed": 2**63}, "above_max_value", "seed"),
        ({"stop": ["a"] * 5}, "above_max_length", "stop"),
        ({"stop": [""]}, "below_min_length", "stop[0]"),
        ({"stop": [1]}, "invalid_type", "stop[0]"),
        ({"top_logprobs": 21, "logprobs": True}, "above_max_value", "top_logprobs"),
        ({"messages": []}, "below_min_length", "messages"),
        ({"messages": "안녕"}, "invalid_type", "messages"),
        ({"messages": ["안녕"]}, "invalid_type", "messages[0]"),
        ({"messages": [{"role": "user"}]}, "missing_required_parameter", "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "invalid_type", "messages[0].content"),
        ({"messages": [{"role": "user", "content": "\0"}]}, "invalid_value", "messages[0].content"),
        ({"messages": [{"role": "owner", "content": ""}]}, "unsupported_value", "messages[0].role"),
        ({"messages": [{"role": {}, "content": ""}]}, "unsupported_value", "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": [], "text": ""}]}]}, *_STRANGE_TYPE),
        ({"messages": [{"role": "tool", "content": ""}]}, "unsupported_parameter", "messages[0].role"),
        ({"messages": [{"role": "user", "content": "", "name": "지우"}]}, "unsupported_parameter", "messages[0].name"),
        ({"messages": [{"role": "user", "content": "", "x": 1}]}, "unknown_parameter", "messages[0].x"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": ""}}]}]},
            "unsupported_parameter",
            "messages[0].content[0].type",
        ),
        ({"response_format": {}}, "missing_required_parameter", "response_format.type"),
        ({"response_format": {"type": "xml"}}, "unsupported_value", "response_format.type"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "두 낱말"}}},
            "invalid_value",
            "response_format.json_schema.name",
        ),
        ({"tools": [{"type": "function"}]}, "unsupported_parameter", "tools"),
        ({"tool_choice": "required"}, "unsupported_parameter", "tool_choice"),
        ({"functions": [{}]}, "unsupported_parameter", "functions"),
        ({"logit_bias": {"1": 5}}, "unsupported_parameter", "logit_bias"),
        ({"modalities": ["text", "audio"]}, "unsupported_parameter", "modalities"),
        ({"audio": {}}, "unsupported_parameter", "audio"),
        ({"store": True}, "unsupported_parameter", "store"),
        ({"service_tier": "flex"}, "unsupported_parameter", "service_tier"),
        ({"reasoning_effort": "high"}, "unsupported_parameter", "reasoning_effort"),
        ({"web_search_options": {}}, "unsupported_parameter", "web_search_options"),
        ({"stream_options": {"include_usage": True}}, "invalid_parameter_combination", "stream_options"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "invalid_parameter_combination", "max_tokens"),
        ({"top_logprobs": 1}, "invalid_parameter_combination", "top_logprobs"),
        ({"nonsense": 1}, "unknown_parameter", "nonsense"),
        ({"x" * 1000: 1}, "unknown_parameter", "x" * 200),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(InputError) as caught:
        draft(**changes)

    assert (caught.value.code, caught.value.facts["param"]) == (code, param)


@pytest.mark.parametrize(
    "changes",
    [
        {"tools": [], "tool_choice": "auto", "functions": [], "function_call": "none", "parallel_tool_calls": True},
        {"logit_bias": {}, "n": 1, "modalities": ["text"], "audio": None, "store": False, "service_tier": "auto"},
        {"user": "u", "metadata": {"a": "b"}, "safety_identifier": "s", "prompt_cache_key": "k"},
        {"verbosity": "medium", "reasoning_effort": None, "stream": False, "stream_options": None},
        {"stop": [], "logprobs": False, "response_format": {"type": "text"}},
        {"frequency_penalty": 0, "presence_penalty": 0, "temperature": None, "seed": None, "max_tokens": None},
    ],
)
def test_values_that_change_nothing_are_taken(changes: dict[str, Any]) -> None:
    plain, changed = draft(), draft(**changes)

    assert (changed.prompt, changed.sampling) == (plain.prompt, plain.sampling)


def test_a_message_can_be_sent_back_as_it_came() -> None:
    came = {"role": "assistant", "content": "네.", "refusal": None, "tool_calls": None, "annotations": None}

    assert [message.content for message in draft(messages=[*HELLO, came]).prompt] == ["안녕?", "네."]


def test_parts_are_joined_developers_are_the_system_and_text_is_nfc() -> None:
    parts = [{"type": "text", "text": "\u1112\u1161\u11ab"}, {"type": "text", "text": "글"}]
    prompt = draft(messages=[{"role": "developer", "content": "짧게."}, {"role": "user", "content": parts}]).prompt

    assert [(message.role, message.content) for message in prompt] == [(Role.SYSTEM, "짧게."), (Role.USER, "한글")]


def test_sampling_is_what_was_asked() -> None:
    sampling = draft(
        temperature=0, top_p=0, max_completion_tokens=7, stop="끝", presence_penalty=1, frequency_penalty=-1,
        logprobs=True, top_logprobs=3, top_k=-1, min_p=0.1, repetition_penalty=1.2,
    ).sampling  # fmt: skip

    assert (sampling.temperature, sampling.max_new_tokens, sampling.stop) == (0.0, 7, ("끝",))
    assert (sampling.presence_penalty, sampling.frequency_penalty, sampling.logprobs) == (1.0, -1.0, 3)
    assert 0 < sampling.top_p < 0.001
    assert (sampling.top_k, sampling.min_p, sampling.repetition_penalty) == (0, 0.1, 1.2)


def test_every_choice_has_its_own_seed() -> None:
    choices = drafts.of_chat(asked(n=3, seed=-1), "user", "lane")

    assert [choice.seed for choice in choices] == [2**63 - 1, 0, 1]
    assert len({choice.id for choice in choices}) == 3


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "n"}},
        {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}},
    ],
)
def test_json_without_a_schema_is_any_object(wanted: dict[str, Any]) -> None:
    assert json.loads(draft(response_format=wanted).sampling.json_schema) == {"type": "object"}


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "https://example.com/schema"}])
def test_a_schema_that_cannot_be_kept_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaUnsupported) as caught:
        draft(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}})

    assert caught.value.facts["param"] == "response_format.json_schema.schema"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"text"', b"null", b"\xff", b'{"model": "\\ud800"}', b'{"temperature": NaN}'),
        *(b'{"a":' * 5000, b"[" * 100_000, b'{"seed": ' + b"9" * 100_000 + b"}", b"\xef\xbb\xbf{}"),
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BodyInvalid):
        parse_body(body, ChatCompletionRequest)


def test_numbers_beyond_floats_are_refused_wherever_they_stand() -> None:
    schema = '{"type": "json_schema", "json_schema": {"name": "n", "schema": {"minimum": 1e999}}}'
    body = f'{{"model": "m", "messages": [{{"role": "user", "content": ""}}], "response_format": {schema}}}'

    with pytest.raises(NunmalError) as caught:
        drafts.of_chat(parse_body(body.encode(), ChatCompletionRequest), "user", "lane")

    assert caught.value.facts["param"] == "response_format.json_schema.schema"


class TestRawText:
    @staticmethod
    def asked(**changes: Any) -> CompletionRequest:
        return parse_body(json.dumps({"model": "m", "prompt": "옛날에"} | changes).encode(), CompletionRequest)

    @pytest.mark.parametrize("prompt", ["옛날에", ["옛날에"]])
    def test_one_text_is_taken_as_it_is(self, prompt: Any) -> None:
        (first,) = drafts.of_text(self.asked(prompt=prompt, echo=False, best_of=1, suffix=None), "user", "lane")

        assert first.prompt == "옛날에"

    def test_what_vllm_adds_is_taken_here_too(self) -> None:
        (first,) = drafts.of_text(self.asked(top_k=7, min_p=0.5, repetition_penalty=1), "user", "lane")

        assert (first.sampling.top_k, first.sampling.min_p, first.sampling.repetition_penalty) == (7, 0.5, 1.0)

    @pytest.mark.parametrize(
        ("changes", "code", "param"),
        [
            ({"prompt": ["a", "b"]}, "above_max_length", "prompt"),
            ({"prompt": []}, "below_min_length", "prompt"),
            ({"prompt": ""}, "below_min_length", "prompt"),
            ({"prompt": [1]}, "invalid_type", "prompt"),
            ({"echo": True}, "unsupported_parameter", "echo"),
            ({"best_of": 2}, "unsupported_parameter", "best_of"),
            ({"suffix": "끝"}, "unsupported_parameter", "suffix"),
            ({"logprobs": 6}, "above_max_value", "logprobs"),
            ({"messages": HELLO}, "unknown_parameter", "messages"),
        ],
    )
    def test_what_is_wrong_is_named(self, changes: dict[str, Any], code: str, param: str) -> None:
        with pytest.raises(InputError) as caught:
            drafts.of_text(self.asked(**changes), "user", "lane")

        assert (caught.value.code, str(caught.value.facts["param"]).partition("[")[0]) == (code, param)


class TestJobs:
    @pytest.mark.parametrize("changes", [{"n": 2}, {"stream": True}])
    def test_a_job_is_one_answer_that_is_fetched(self, changes: dict[str, Any]) -> None:
        with pytest.raises(InputError) as caught:
            parse_body(json.dumps({"model": "m", "messages": HELLO} | changes).encode(), JobRequest)

        assert caught.value.code == "unsupported_parameter"
