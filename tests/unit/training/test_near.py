"""The index finds what comparing all pairs finds."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.near import Match, letters, nearest, windows

TEXT = "복지로에서 신청하시거나 가까운 주민센터를 방문해서 신청하실 수 있어요."


def _shingles(text: str) -> set[str]:
    kept = letters(text)
    return {kept[i : i + 5] for i in range(max(1, len(kept) - 4))}


def _jaccard(a: str, b: str) -> float:
    first, second = _shingles(a), _shingles(b)
    return len(first & second) / len(first | second)


def test_spaces_signs_and_case_do_not_count() -> None:
    assert nearest(["Python 3은 쉬워요!", "python3은  쉬워요"]) == [None, Match(0, 1.0)]


def test_one_changed_word_in_a_long_text_is_near_and_another_text_is_not() -> None:
    long = TEXT + " 서류는 신분증과 통장 사본이 필요하고, 결과는 두 주 안에 문자로 알려 드려요."

    found = nearest([long, long.replace("두 주", "한 주"), "오늘은 비가 와서 집에 있을 거예요."])

    assert found[1] is not None and found[1].place == 0 and 0.8 <= found[1].similarity < 1
    assert found[2] is None


def test_keeping_what_has_no_match_keeps_one_of_each_group() -> None:
    assert [match is None for match in nearest([TEXT, TEXT, "다른 글이에요", TEXT])] == [True, False, True, False]


def test_with_a_boundary_only_texts_before_it_match_and_only_those_after_are_asked() -> None:
    found = nearest([TEXT, TEXT, "새 글", TEXT, "새 글"], boundary=2)

    assert [match and match.place for match in found] == [None, None, None, 0, None]


def test_no_texts_give_nothing() -> None:
    assert nearest([]) == []
    assert nearest(["", "?!"]) == [None, Match(0, 1.0)]


def test_windows_of_the_same_letters_are_equal_wherever_they_stand() -> None:
    assert windows("가나다라마바", 3)[2] == windows("다라마", 3)[0]
    assert len(windows("가나", 5)) == 1


@pytest.mark.parametrize("threshold", [0.5, 0.8, 1.0])
@given(seed=st.integers(0, 2**32))
def test_index_agrees_with_comparing_all_pairs(threshold: float, seed: int) -> None:
    rng = random.Random(seed)
    texts = ["".join(rng.choices("가나다", k=rng.randrange(12))) for _ in range(20)]
    texts += [text + rng.choice("가나다") for text in texts]

    found = nearest(texts, threshold, boundary=20)

    for text, match in zip(texts[20:], found[20:], strict=True):
        best = max(_jaccard(text, other) for other in texts[:20])
        assert (match is not None) == (best >= threshold)
        if match is not None:
            assert match.similarity == pytest.approx(_jaccard(text, texts[match.place]))
