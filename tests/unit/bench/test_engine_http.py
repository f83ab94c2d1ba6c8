"""What the bench reads from servers."""

from __future__ import annotations

import pytest

from tests.bench.engine_http import completion_tokens, dechunked


def test_chunks_are_joined_wherever_they_were_cut() -> None:
    assert dechunked(b"4\r\ndata\r\nA\r\n: \r\n{}\n\n12\r\n0\r\n\r\n") == b"data: \r\n{}\n\n12"


def test_a_body_that_was_cut_is_no_answer() -> None:
    with pytest.raises(ValueError, match=r"invalid literal|not found"):
        dechunked(b"4\r\ndata\r\n")


@pytest.mark.parametrize(
    ("stream", "tokens"),
    [
        (b'data: {"choices": []}\n\ndata: {"usage": {"completion_tokens": 7}}\n\ndata: [DONE]\n\n', 7),
        (b'data: {"usage": {"completion_tokens": 7}}\n\ndata: {"usage": null}\n\n', 7),
        (b'data: {"choices": []}\n\n', None),
    ],
)
def test_the_usage_says_how_many_tokens_there_were(stream: bytes, tokens: int | None) -> None:
    assert completion_tokens(stream) == tokens
