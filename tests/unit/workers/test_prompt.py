"""Which turns a model sees: the newest that fit, never without the question."""

from __future__ import annotations

from typing import Any

import jinja2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.chat import GenerationState, Message, PictureRef, Role
from shared.errors import PicturesUnsupported, PromptRefused, PromptTooLong
from tests.factories import generation
from workers.engine.base import Looked, Picture, PictureNotes
from workers.engine.facts import PictureFacts
from workers.pictures import Eyes
from workers.prompt import Draft, Prompts


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
    prompts = Prompts(Words(), context_length, max_new_tokens, None)
    return " ".join(map(str, prompts.of(generation(question=question), turns).token_ids))


def given_whole(claimed: Any, tokenizer: Any, context_length: int = 100, max_new_tokens: int = 10) -> tuple[int, ...]:
    return Prompts(tokenizer, context_length, max_new_tokens, None).of(claimed, []).token_ids


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


def test_pinned_turns_stay_longest_and_what_was_left_out_is_counted() -> None:
    turns = [turn(f"질문{number}", "가 나 다") for number in range(6)]
    asked = generation(question="끝", pins=(turns[0].id, turns[1].id))
    made = Prompts(Words(), 24, 100, None).of(asked, turns)

    assert " ".join(map(str, made.token_ids)) == (
        "user 질문0 assistant 가 나 다 user 질문1 assistant 가 나 다 user 질문5 assistant 가 나 다 user 끝"
    )
    assert made.left_out == 3
    assert Prompts(Words(), 9, 100, None).of(asked, turns).left_out == 5  # and then the oldest pin goes first


def test_what_the_system_says_stands_first_and_stays() -> None:
    turns = [turn(f"질문{number}", "가 나 다") for number in range(6)]
    made = Prompts(Words(), 24, 100, None).of(generation(question="끝", system="짧게 답하세요"), turns)

    assert " ".join(map(str, made.token_ids)) == (
        "system 짧게 답하세요 user 질문4 assistant 가 나 다 user 질문5 assistant 가 나 다 user 끝"
    )


def test_a_template_without_a_system_is_told_in_the_first_question() -> None:
    class NoSystem(Words):
        def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> dict[str, list[str]]:
            if conversation[0]["role"] == "system":
                raise jinja2.TemplateError("no system")
            return super().apply_chat_template(conversation)

    made = Prompts(NoSystem(), 1000, 10, None).of(generation(question="둘", system="짧게"), [turn("하나", "첫째")])

    assert " ".join(map(str, made.token_ids)) == "user 짧게 하나 assistant 첫째 user 둘"


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

        ids = given_whole(claimed, Words())
        assert " ".join(map(str, ids)) == "system 짧게 user 하나 assistant 둘"

    def test_raw_text_goes_to_the_tokenizer_as_it_is(self) -> None:
        class Spelling(Words):
            def encode(self, text: str, **options: Any) -> list[int]:
                assert not options  # with the beginning token, if the tokenizer adds one
                return [0, *map(ord, text)]

        assert given_whole(generation(prompt="<end>"), Spelling()) == (0, *map(ord, "<end>"))

    def test_what_does_not_fit_is_refused_whole(self) -> None:
        prompt = (Message(Role.USER, "가 " * 20), Message(Role.USER, "나 " * 20))

        with pytest.raises(PromptTooLong) as caught:
            given_whole(generation(prompt=prompt), Words(), 40, 100)

        assert caught.value.facts == {"tokens": 42, "limit": 35}

    def test_turns_that_the_template_refuses_are_the_askers_fault(self) -> None:
        class Strict(Words):
            def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> dict[str, list[str]]:
                raise jinja2.TemplateError("roles must alternate")

        with pytest.raises(PromptRefused):
            given_whole(generation(prompt=(Message(Role.ASSISTANT, "네."),)), Strict())

    def test_without_it_the_conversation_counts(self) -> None:
        assert words([turn("하나", "첫째")], "둘") == "user 하나 assistant 첫째 user 둘"


class Seeing(Words):
    """Picture tokens are words of their own, and every word is a number."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        ids = super().apply_chat_template(
            [turn | {"content": turn["content"].replace(TOKEN, f" {TOKEN} ")} for turn in conversation]
        )["input_ids"]
        return {"input_ids": [PLACEHOLDER if word == TOKEN else hash(word) % 1000 + 100 for word in ids]}


TOKEN, PLACEHOLDER, VECTORS = "<image>", 7, 4


async def nobody_looks(sha256: str, data: bytes) -> Looked:
    raise AssertionError("prompts look at nothing")


FACTS = PictureFacts(PLACEHOLDER, VECTORS, 2, 2)
EYES = Eyes(FACTS, TOKEN, nobody_looks)


def picture(name: str) -> PictureRef:
    return PictureRef(f"id of {name}", name, 10, 10)


def looked(name: str, *notes: int) -> Looked:
    return Looked(Picture(name, np.zeros((3, 2, 2), np.float32)), PictureNotes(notes))


def draft(turns: list[Any], claimed: Any, context_length: int = 1000, **described: int) -> Draft:
    return Prompts(Seeing(), context_length, 10, EYES).of(claimed, turns, described)


class TestPictures:
    def test_they_stand_before_the_text_of_their_turn_and_stay_in_follow_ups(self) -> None:
        first = generation(question="이게 뭐예요", answer="원", state=GenerationState.DONE, pictures=(picture("a"),))
        asked = generation(question="그럼 이건요", pictures=(picture("b"), picture("c")))
        made = draft([first], asked)

        assert [each.sha256 for each in made.pictures] == ["a", "b", "c"]
        assert [token_id == PLACEHOLDER for token_id in made.token_ids] == [
            *[False, True, False, False],  # user, picture, two words
            *[False, False],  # assistant, a word
            *[False, True, True, False, False],
        ]

    def test_each_becomes_its_vectors_and_what_describes_it(self) -> None:
        made = draft([], generation(question="뭐예요", pictures=(picture("a"), picture("b"))))
        user, _, _, word = made.token_ids
        shown = made.shown(FACTS, [looked("a", 11, 12), looked("b")])

        assert shown == (user, *[PLACEHOLDER] * VECTORS, 11, 12, *[PLACEHOLDER] * VECTORS, word)

    def test_what_people_write_is_never_a_picture(self) -> None:
        made = draft([], generation(question=f"{TOKEN} 이게 보여요 {TOKEN}{TOKEN}"))

        assert PLACEHOLDER not in made.token_ids
        assert made.pictures == ()

    def test_the_context_counts_vectors_and_descriptions(self) -> None:
        turns = [
            generation(question="뭐", answer="원", state=GenerationState.DONE, pictures=(picture(name),))
            for name in "abc"
        ]
        asked = generation(question="끝")
        # A turn has user, 4 vectors, word, assistant, word; the question user and word; an eighth is for the answer.
        assert [each.sha256 for each in draft(turns, asked, 40).pictures] == ["a", "b", "c"]
        assert [each.sha256 for each in draft(turns, asked, 28).pictures] == ["b", "c"]
        assert [each.sha256 for each in draft(turns, asked, 40, b=9, c=3).pictures] == ["b", "c"]
        with pytest.raises(PromptTooLong):
            draft([], generation(question="끝", pictures=tuple(map(picture, "abcd"))), 18)

    def test_messages_given_whole_have_theirs(self) -> None:
        prompt = (Message(Role.USER, "봐요", (picture("a"),)), Message(Role.ASSISTANT, "네"), Message(Role.USER, "뭐"))
        claimed = generation(prompt=prompt, pictures=(picture("a"),))

        assert draft([], claimed).token_ids.count(PLACEHOLDER) == 1

    def test_a_template_that_leaves_them_out_is_told(self) -> None:
        class Blind(Seeing):
            def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
                return {"input_ids": [1, 2, 3]}

        with pytest.raises(PromptRefused):
            Prompts(Blind(), 100, 10, EYES).of(generation(pictures=(picture("a"),)), [])

    def test_without_eyes_nothing_is_shown(self) -> None:
        with pytest.raises(PicturesUnsupported):
            Prompts(Words(), 100, 10, None).of(generation(pictures=(picture("a"),)), [])
