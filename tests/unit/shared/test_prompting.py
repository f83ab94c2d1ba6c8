"""Prompting: people's words stay data, and the same conversation always gives the same prompt."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.chat import Message, Role
from shared.errors import MessageInvalid
from shared.prompting import clean_text, defuse, fallback_prompt, prompt_ids, told_ids

CONTROL_TOKENS = ["<|user|>", "<|end|>", "</s>", "<s>"]
valid_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
spiked_text = st.lists(st.one_of(st.sampled_from([*CONTROL_TOKENS, "<|", "|>", "en", "d"]), valid_text)).map("".join)


class TemplatedTokenizer:
    """Code points as token ids, and a template that shows what it was given."""

    chat_template: Any = "yes"
    all_special_tokens = CONTROL_TOKENS

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        text = "".join(f"[{turn['role']}]{turn['content']}" for turn in conversation)
        text += "[assistant]" if options["add_generation_prompt"] else ""
        return {"input_ids": [ord(character) for character in text]}

    def encode(self, text: str, **options: Any) -> list[int]:
        return [ord(character) for character in text]


@given(spiked_text)
def test_no_control_token_survives_in_a_persons_words(text: str) -> None:
    safe = defuse(text, CONTROL_TOKENS)

    assert not any(token in safe for token in CONTROL_TOKENS)
    assert safe.replace("\u200b", "") == text.replace("\u200b", "")


def test_chat_template_gets_the_turns_in_order() -> None:
    messages = [Message(Role.USER, "안녕"), Message(Role.ASSISTANT, "안녕하세요"), Message(Role.USER, "끝<|end|>")]

    text = "".join(map(chr, prompt_ids(messages, TemplatedTokenizer())))

    assert text == "[user]안녕[assistant]안녕하세요[user]끝<\u200b|end|>[assistant]"


@pytest.mark.parametrize("template", ["yes", None])
def test_an_answer_that_was_told_continues_its_prompt(template: str | None) -> None:
    tokenizer = TemplatedTokenizer()
    tokenizer.chat_template = template
    messages = [Message(Role.USER, "안녕"), Message(Role.ASSISTANT, "안녕<|end|>하세요")]

    told, prompt = told_ids(messages, tokenizer), prompt_ids(messages[:1], tokenizer)

    assert told[: len(prompt)] == prompt
    assert "".join(map(chr, told[len(prompt) :])).strip() == "안녕<\u200b|end|>하세요"


def test_model_without_a_template_gets_labelled_turns() -> None:
    tokenizer = TemplatedTokenizer()
    tokenizer.chat_template = None

    text = "".join(map(chr, prompt_ids([Message(Role.SYSTEM, "짧게"), Message(Role.USER, "안녕</s>")], tokenizer)))

    assert text == "시스템: 짧게\n사용자: 안녕<\u200b/s>\n답변:"
    assert text == fallback_prompt([Message(Role.SYSTEM, "짧게"), Message(Role.USER, "안녕</s>")], CONTROL_TOKENS)


@given(valid_text)
def test_text_is_normalised_once_and_for_all(text: str) -> None:
    cleaned = clean_text(text)

    assert unicodedata.is_normalized("NFC", cleaned)
    assert clean_text(cleaned) == cleaned
    assert "\r" not in cleaned


def test_decomposed_hangul_is_composed() -> None:
    assert clean_text(unicodedata.normalize("NFD", "눈말")) == "눈말"


@pytest.mark.parametrize("text", ["\x00", "앞\x00뒤", "\ud800", "반쪽 \udfff 짝"])
def test_text_that_cannot_be_stored_is_refused(text: str) -> None:
    with pytest.raises(MessageInvalid):
        clean_text(text)
