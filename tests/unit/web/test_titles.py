"""Titles fit the list and are cut at a word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from web.chat.titles import MOST_TITLE_CHARACTERS, title_of


def test_a_short_question_is_its_own_title() -> None:
    assert title_of("안녕하세요?\n반가워요.") == "안녕하세요? 반가워요."


def test_a_long_question_is_cut_at_a_word() -> None:
    title = title_of("가나다라 " * 20)

    assert title == "가나다라 " * 10 + "가나다라…"


def test_one_endless_word_is_cut_anyway() -> None:
    assert title_of("가" * 200) == "가" * (MOST_TITLE_CHARACTERS - 1) + "…"


@given(st.text())
def test_a_title_is_one_short_line(text: str) -> None:
    title = title_of(text)

    assert len(title) <= MOST_TITLE_CHARACTERS
    assert len(title.splitlines()) <= 1
