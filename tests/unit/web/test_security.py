"""CSRF tokens, local paths, forms and the policy that every page carries."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import MessageInvalid
from web.forms import _parse, local_path, tidy
from web.security import CONTENT_SECURITY_POLICY, Csrf


def test_a_token_is_valid_for_its_own_secret_only() -> None:
    csrf = Csrf(b"k" * 32)

    assert csrf.is_valid("session", csrf.token("session"))
    assert not csrf.is_valid("other session", csrf.token("session"))


@pytest.mark.parametrize("token", ["", "0" * 64, "가", "\ufffd"])
def test_a_made_up_token_is_refused(token: str) -> None:
    assert not Csrf(b"k" * 32).is_valid("session", token)


def test_without_a_secret_no_token_is_valid() -> None:
    csrf = Csrf(b"k" * 32)

    assert not csrf.is_valid("", csrf.token(""))


def test_tokens_depend_on_the_key() -> None:
    assert Csrf(b"a" * 32).token("session") != Csrf(b"b" * 32).token("session")


def test_the_policy_allows_nothing_inline() -> None:
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none';")
    assert "unsafe" not in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("path", ["/chat", "/chat/0190", "/chat?x=1"])
def test_a_path_on_this_site_is_followed(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "chat",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/a\nb",
        "/a\\b",
        "/a\x00",
        "javascript:x",
    ],
)
def test_no_other_path_is_followed(path: str) -> None:
    assert local_path(path) == ""


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))))
def test_a_form_in_utf8_reads_exactly(fields: dict[str, str]) -> None:
    fields = dict(list(fields.items())[:32])
    body = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in fields.items())

    assert dict(_parse(body.encode())) == fields


@pytest.mark.parametrize("body", [b"message=%FF", b"message=%ED%A0%80", b"message=\xff", b"m=%C0%80", b"a=1&" * 33])
def test_a_form_that_is_not_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(MessageInvalid):
        _parse(body)


@given(st.text(max_size=40))
def test_tidy_text_is_nfc_or_refused(text: str) -> None:
    try:
        tidied = tidy(text, 40)
    except MessageInvalid:
        assert "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text)
    else:
        assert tidied == tidy(tidied, 200)
