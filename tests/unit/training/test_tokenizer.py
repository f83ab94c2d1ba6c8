"""Any text goes in and comes out unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

PUBLISHED = Path(__file__).parents[3] / "workers" / "reference" / "model"


@pytest.fixture(scope="module")
def published() -> PreTrainedTokenizerFast:
    if not (PUBLISHED / "tokenizer.json").exists():
        pytest.skip("no published model in this checkout")
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(PUBLISHED)
    return tokenizer


@given(text=st.text())
def test_any_text_survives_the_round_trip(text: str, published: PreTrainedTokenizerFast) -> None:
    ids = published.encode(text, add_special_tokens=False)

    assert published.decode(ids) == text


@pytest.mark.parametrize(
    "text", ["한글과 영어 ABC 123", "  앞뒤 공백  ", "줄\n\n바꿈\t탭", "ㅋㅋㅋ 😀👨‍👩‍👧", "옛말 ᄒᆞᆫ글", "한"]
)
def test_difficult_text_survives_the_round_trip(text: str, published: PreTrainedTokenizerFast) -> None:
    assert published.decode(published.encode(text, add_special_tokens=False)) == text


def test_digits_stand_alone(published: PreTrainedTokenizerFast) -> None:
    assert len(published.encode("1234", add_special_tokens=False)) == 4


def test_the_answer_ends_with_the_end_of_turn(published: PreTrainedTokenizerFast) -> None:
    assert published.eos_token == "<|end|>"
    assert published.vocab_size == 8192  # the control tokens of its eyes come after these
