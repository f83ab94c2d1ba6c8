"""How e-mail addresses and names are normalised, and which are refused."""

from __future__ import annotations

import unicodedata

import pytest

from shared.errors import EmailInvalid, NameInvalid
from web.auth.accounts import normal_email, normal_name


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("a@b.kr", "a@b.kr"),
        ("  Kim@Example.COM ", "kim@example.com"),
        (unicodedata.normalize("NFD", "한글@예시.한국"), "한글@예시.한국"),
    ],
)
def test_an_email_is_compared_in_one_form(typed: str, kept: str) -> None:
    assert normal_email(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "a",
        "a@b",
        "@b.kr",
        "a@@b.kr",
        "a b@c.kr",
        "a@b.kr\x00",
        "a@b.kr\u202e",
        "a\n@b.kr",
        "a" * 250 + "@b.kr",
        "\u0301" * 10_000,
    ],
)
def test_what_is_no_email_is_refused(typed: str) -> None:
    with pytest.raises(EmailInvalid):
        normal_email(typed)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("김하늘", "김하늘"),
        (" 김  하늘 ", "김 하늘"),
        (unicodedata.normalize("NFD", "김하늘"), "김하늘"),
        ("👩‍💻", "👩‍💻"),
    ],
)
def test_a_name_is_kept_tidy(typed: str, kept: str) -> None:
    assert normal_name(typed).split() == kept.split()
    assert unicodedata.is_normalized("NFC", normal_name(typed))


@pytest.mark.parametrize(
    "typed", ["", "   ", "가" * 41, "a\x00b", "a\nb", "a\u202eb", "\ud800", "a" + "\u0301" * 10_000]
)
def test_what_is_no_name_is_refused(typed: str) -> None:
    with pytest.raises(NameInvalid, match="limit=40"):
        normal_name(typed)
