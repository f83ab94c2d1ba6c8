"""Which turns a model sees: the newest that fit, never without the question."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.chat import GenerationState, Message, Role
from shared.errors import PromptRefused, PromptTooLong
from tests.factories import generation
from workers.prompt import build_prompt, prompt_of


class Words:
    """A tokenizer of one token per word; a turn costs one more."""

    def __init__(self) -> None:
        self.chat_template = "yes"
        self.all_special_tokens = ["<end>"]

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> dict[str, list[str]]:
        return {"input_ids": [word for turn in conversation for word in (turn["role"], *turn["content"].split())]}

    def encode(self, text: str, **options: Any) -> list[int]:
        raise AssertionError("not used when there is a template")


def turn(question: str, answer: str, state: GenerationState = GenerationState.DONE) -> Any:
    return generation(question=question, answer=answer, state=state)


def words(turns: list[Any], question: str, context_length: int = 1000, max_new_tokens: int = 10) -> str:
    return " ".join(map(str, build_prompt(turns, question, Words(), context_length, max_new_tokens)))


def test_turns_come_in_order_before_the_question() -> None:
    assert words([turn("하나", "첫째"), turn("둘", "둘째")], "셋") == (
        "user 하나 assistant 첫째 user 둘 assistant 둘째 user 셋"
    )


@pytest.mark.parametrize("state", [GenerationState.FAILED, GenerationState.QUEUED, GenerationState.RUNNING])
def test_a_turn_that_failed_or_has_not_ended_is_left_out(state: GenerationState) -> None:
    assert words([turn("하나", "조각", state)], "둘") == "user 둘"


def test_a_stopped_turn_counts_unless_it_is_empty() -> None:
    turns = [turn("하나", "조각", GenerationState.STOPPED), turn("둘", " \n", GenerationState.STOPPED)]

    assert words(turns, "셋") == "user 하나 assistant 조각 user 셋"


def test_the_oldest_turns_go_first_when_the_context_is_full() -> None:
    turns = [turn(f"질문{number}", "가 나 다") for number in range(6)]

    assert words(turns, "끝", context_length=24, max_new_tokens=100) == (
        "user 질문3 assistant 가 나 다 user 질문4 assistant 가 나 다 user 질문5 assistant 가 나 다 user 끝"
    )


def test_a_question_that_does_not_fit_alone_is_refused_with_its_length() -> None:
    with pytest.raises(PromptTooLong) as caught:
        words([turn("하나", "첫째")], "가 " * 50, context_length=40, max_new_tokens=100)

    assert caught.value.facts == {"tokens": 51, "limit": 35}


@given(
    lengths=st.lists(st.integers(1, 12), max_size=12),
    context_length=st.integers(16, 120),
    max_new_tokens=st.integers(1, 50),
)
def test_what_is_kept_fits_and_one_turn_more_would_not(
    lengths: list[int], context_length: int, max_new_tokens: int
) -> None:
    turns = [turn(f"질문{number}", "말 " * length) for number, length in enumerate(lengths)]

    kept = words(turns, "끝", context_length, max_new_tokens).split()

    limit = context_length - min(max_new_tokens, context_length // 8)
    assert len(kept) <= limit
    assert kept[-2:] == ["user", "끝"]
    dropped = len(turns) - kept.count("assistant")
    if dropped:
        assert len(kept) + 3 + lengths[dropped - 1] > limit


class TestGivenWhole:
    def test_messages_go_through_the_template_and_nothing_is_left_out(self) -> None:
        prompt = (Message(Role.SYSTEM, "짧게"), Message(Role.USER, "하나"), Message(Role.ASSISTANT, "둘"))
        claimed = generation(prompt=prompt, question="")

        ids = prompt_of(claimed, [], Words(), 100, 10)
        assert " ".join(map(str, ids)) == "system 짧게 user 하나 assistant 둘"

    def test_raw_text_goes_to_the_tokenizer_as_it_is(self) -> None:
        class Spelling(Words):
            def encode(self, text: str, **options: Any) -> list[int]:
                assert not options  # with the beginning token, if the tokenizer adds one
                return [0, *map(ord, text)]

        assert prompt_of(generation(prompt="<end>"), [], Spelling(), 100, 10) == (0, *map(ord, "<end>"))

    def test_what_does_not_fit_is_refused_whole(self) -> None:
        prompt = (Message(Role.USER, "가 " * 20), Message(Role.USER, "나 " * 20))

        with pytest.raises(PromptTooLong) as caught:
            prompt_of(generation(prompt=prompt), [], Words(), 40, 100)

        assert caught.value.facts == {"tokens": 42, "limit": 35}

    def test_turns_that_the_template_refuses_are_the_askers_fault(self) -> None:
        class Strict(Words):
            def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> dict[str, list[str]]:
                raise jinja2.TemplateError("roles must alternate")

        with pytest.raises(PromptRefused):
            prompt_of(generation(prompt=(Message(Role.ASSISTANT, "네."),)), [], Strict(), 100, 10)

    def test_without_it_the_conversation_counts(self) -> None:
        ids = prompt_of(generation(question="둘"), [turn("하나", "첫째")], Words(), 100, 10)
        assert " ".join(map(str, ids)) == "user 하나 assistant 첫째 user 둘"
