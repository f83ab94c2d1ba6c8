"""Which particle follows which word."""

from __future__ import annotations

import pytest

from shared.particles import particle


@pytest.mark.parametrize(
    ("word", "forms", "expected"),
    [
        ("피자", "을/를", "를"),
        ("치킨", "을/를", "을"),
        ("물", "으로/로", "로"),
        ("부산", "으로/로", "으로"),
        ("제주도", "으로/로", "로"),
        ("3", "이/가", "이"),
        ("12", "이/가", "가"),
        ("10", "은/는", "은"),
        ("7", "으로/로", "로"),
        ("HTML", "이/가", "이"),
        ("API", "을/를", "를"),
        ('"책"', "이에요/예요", "이에요"),
        ("", "은/는", "는"),
    ],
)
def test_particle_follows_the_final_sound(word: str, forms: str, expected: str) -> None:
    assert particle(word, forms) == expected


def test_forms_without_a_slash_are_refused() -> None:
    with pytest.raises(ValueError, match="must name two forms"):
        particle("책", "을")
