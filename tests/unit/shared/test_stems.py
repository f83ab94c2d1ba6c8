"""What a Korean text is found by."""

from __future__ import annotations

import pytest

from shared.text.morphemes import stems


def _texts(text: str) -> list[str]:
    return [stem.text for stem in stems(text)]


@pytest.mark.parametrize(
    ("inflected", "stem"),
    [
        ("공원을 천천히 걸었어요.", "걷다/"),
        ("오래 걷고 싶었는데", "걷다/"),
        ("날씨가 너무 추워서", "춥다/"),
        ("정말 아름다웠던 여행", "아름답다/"),
        ("학교에서는 공부했지만", "학교"),
        ("학교에서는 공부했지만", "공부"),
        ("Python으로 짰어요", "python"),
    ],
)
def test_an_inflected_word_is_found_by_its_dictionary_form(inflected: str, stem: str) -> None:
    assert stem in _texts(inflected)


def test_particles_endings_and_punctuation_find_nothing() -> None:
    assert _texts("공원에서는요!! … 학교,") == ["공원", "학교"]


def test_a_verb_ends_where_its_endings_end_and_a_noun_before_its_particle() -> None:
    text = "🙂 어제 공원을 걸었어요. 좋았다"
    found = {stem.text: text[stem.start : stem.end] for stem in stems(text)}

    assert found["걷다/"] == "걸었어요"
    assert found["공원"] == "공원"
    assert found["좋다/"] == "좋았다"


def test_a_noun_that_ends_like_a_verb_is_no_verb() -> None:
    (sea,) = stems("바다")

    assert not sea.is_verb
