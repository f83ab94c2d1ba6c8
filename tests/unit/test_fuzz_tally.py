"""What the fuzz takes for a fault, and what not."""

from __future__ import annotations

import pytest

from tests.fuzz.tally import Tally
from tests.fuzz.wire import Answer

ADDRESS = "http://127.0.0.1:1"


def _seen(answer: Answer, *, owns_secrets: bool = False) -> Tally:
    tally = Tally(ADDRESS, [b"geheim"])
    tally.see(b"GET / HTTP/1.1", answer, owns_secrets=owns_secrets)
    return tally


@pytest.mark.parametrize("status", [200, 303, 404, 429, 0])
def test_an_answer_that_tells_nothing_is_clean(status: int) -> None:
    tally = _seen(Answer(status, (("location", "/login?next=//x"),), b"hello"))

    assert tally.is_clean
    assert tally.requests == 1


@pytest.mark.parametrize("status", [500, 502, 503])
def test_every_5xx_is_a_fault(status: int) -> None:
    tally = _seen(Answer(status, (("retry-after", "5"),)))

    assert tally.status_5xx == 1
    assert not tally.is_clean


def test_a_secret_word_is_a_foreign_read_unless_its_owner_asked() -> None:
    told = Answer(200, (), b"das ist geheim")

    assert _seen(told).foreign_reads == 1
    assert _seen(told, owns_secrets=True).is_clean


@pytest.mark.parametrize(
    "location", ["//outside.invalid", "/\\outside.invalid", "https://outside.invalid", "javascript:x"]
)
def test_a_redirect_to_another_site_is_a_fault(location: str) -> None:
    assert not _seen(Answer(303, (("location", location),))).is_clean
    assert _seen(Answer(303, (("location", f"{ADDRESS}/chat"),))).is_clean


def test_a_header_that_was_smuggled_in_is_a_fault() -> None:
    assert not _seen(Answer(200, (("x-injected", "1"),))).is_clean
