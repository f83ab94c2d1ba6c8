"""From what somebody types to what is looked for, and the passage that is shown."""

from __future__ import annotations

import re

import pytest

from shared.organising_errors import SearchTooLong, SearchTooShort
from shared.text.morphemes import stems
from web.search.passages import passage, plain
from web.search.query import MOST_CHARACTERS, MOST_WORDS, Query, query_of, words_of


def _query(text: str) -> Query:
    words = words_of(text)
    return query_of(words, [stems(word) for word in words])


def _finds(asked: str, text: str) -> bool:
    kept = f" {' '.join(stem.text for stem in stems(text))} "
    return all(re.search(pattern, kept) for pattern in _query(asked).patterns)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("걷다", "공원을 걸었어요"),
        ("걸었어요", "오래 걷고 싶다"),
        ("학교에서", "학교는 멀어요"),
        ("먹", "밥을 먹었다"),
        ("ㅎㄱ", "한글을 배워요"),
        ("한ㄱ", "한글을 배워요"),
        ("PYTHON", "python을 써요"),
        ("공원 걷다", "걸었던 그 공원"),
        ("고속", "고속버스를 탔어요"),
    ],
)
def test_finds(asked: str, text: str) -> None:
    assert _finds(asked, text)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("걷다", "밥을 먹었다"),
        ("공원 먹다", "공원을 걸었어요"),
        ("먹", "먹구름이 왔다"),
        ("ㅎㄱ", "바다에 가요"),
        (".*", "밥을 먹었다"),
        ("(((", "밥을 먹었다"),
        ("그것은", "밥을 먹었다"),
    ],
)
def test_finds_nothing_else(asked: str, text: str) -> None:
    assert not _finds(asked, text)


def test_what_is_too_long_or_one_initial_is_refused() -> None:
    with pytest.raises(SearchTooLong):
        words_of("가" * (MOST_CHARACTERS + 1))
    with pytest.raises(SearchTooLong):
        words_of("가 " * (MOST_WORDS + 1))
    with pytest.raises(SearchTooShort):
        words_of("ㄱ")
    assert words_of("   ") == []


def test_a_passage_stands_around_its_first_hit_and_marks_inflected_forms() -> None:
    text = plain("앞말 " * 60 + "어제 **공원**을 걸었어요. " + "뒷말 " * 90)
    pieces = passage(text, stems(text), _query("공원 걷다"))

    assert [piece.text for piece in pieces if piece.is_hit] == ["공원", "걸었어요"]
    shown = "".join(piece.text for piece in pieces)
    assert shown.startswith("… 앞말") and shown.endswith(" …")
    assert len(shown) < 300


def test_a_text_without_a_hit_has_no_passage() -> None:
    assert passage("밥을 먹었다", stems("밥을 먹었다"), _query("걷다")) == []


def test_marks_of_markdown_do_not_part_a_word_from_its_particle() -> None:
    table, code = "| 가 | 나 |\n|---|---|\n| 다 | 라 |", "```python\n- 1\n```"
    assert plain(f"# 제목\n\n**눈**이 `왔`다\n- 마\n\n{table}\n\n{code}") == "제목 눈이 왔다 마 가 나 다 라 1"
