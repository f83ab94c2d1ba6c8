"""Sealed values come back whole, to whom has the key, in time, and for the same purpose."""

from __future__ import annotations

import time

import pytest

from web.auth.sealing import Digest, Seal

_KEY = b"k" * 40


def test_what_was_sealed_opens_again_and_cannot_be_read() -> None:
    seal = Seal(_KEY, "one")
    sealed = seal.close("비밀")

    assert seal.open(sealed) == "비밀"
    assert "비밀" not in sealed


@pytest.mark.parametrize("other", [Seal(_KEY, "two"), Seal(b"x" * 40, "one")])
def test_another_purpose_or_key_opens_nothing(other: Seal) -> None:
    assert other.open(Seal(_KEY, "one").close("text")) is None


@pytest.mark.parametrize("sealed", ["", "x", "가", "gAAAA", "\x00"])
def test_nonsense_opens_nothing(sealed: str) -> None:
    assert Seal(_KEY, "one").open(sealed) is None


def test_a_changed_value_opens_nothing() -> None:
    sealed = Seal(_KEY, "one").close("text")

    assert Seal(_KEY, "one").open(sealed[:-6] + "AAAAA=") is None


def test_an_old_value_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seal = Seal(_KEY, "one")
    sealed = seal.close("text")
    later = int(time.time()) + 301
    monkeypatch.setattr("cryptography.fernet.time.time", lambda: later)

    assert seal.open(sealed, within_s=300) is None
    assert seal.open(sealed) == "text"


def test_digests_depend_on_key_purpose_and_text() -> None:
    digests = {Digest(key, purpose).of(text) for key in (_KEY, b"x" * 40) for purpose in "ab" for text in "cd"}

    assert len(digests) == 8
