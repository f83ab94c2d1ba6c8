"""What every strategy promises of every text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.text.chunking.base import Chunk, Chunker
from shared.text.chunking.fixed import FixedChunker
from shared.text.chunking.markdown_header import MarkdownHeaderChunker
from shared.text.chunking.recursive import RecursiveChunker
from shared.text.chunking.semantic import SemanticChunker
from shared.text.embedding import HashedNgrams

LIMIT = 40
CHUNKERS: dict[str, Chunker] = {
    "fixed": FixedChunker(LIMIT),
    "fixed, overlapping": FixedChunker(LIMIT, overlap=15),
    "recursive": RecursiveChunker(LIMIT),
    "semantic": SemanticChunker(LIMIT, HashedNgrams(64)),
    "markdown header": MarkdownHeaderChunker(LIMIT),
}
_PIECES = [
    *("# 제목\n", "## 둘째 제목\n", "\n\n", "\n", " ", "가나다라 ", "끝났어요. "),
    *("정말? ", "x" * 50, "```\n# 말\n```\n"),
]
_SCRAPS = st.text("가a .#\n\u00a0\u1100", max_size=8)
TEXTS = st.lists(st.one_of(st.sampled_from(_PIECES), _SCRAPS), max_size=30).map("".join)


@pytest.fixture(params=CHUNKERS, name="chunker")
def _chunker(request: pytest.FixtureRequest) -> Chunker:
    return CHUNKERS[request.param]


def _covered(chunks: list[Chunk], length: int) -> list[bool]:
    covered = [False] * length
    for chunk in chunks:
        covered[chunk.start : chunk.end] = [True] * (chunk.end - chunk.start)
    return covered


@settings(deadline=None, max_examples=60)
@given(text=TEXTS)
@pytest.mark.parametrize("name", CHUNKERS)
def test_every_character_that_is_no_white_space_is_in_a_chunk(name: str, text: str) -> None:
    chunks = CHUNKERS[name].split(text)

    dropped = "".join(text[at] for at, is_in in enumerate(_covered(chunks, len(text))) if not is_in)
    assert not dropped.strip()


@settings(deadline=None, max_examples=60)
@given(text=TEXTS)
@pytest.mark.parametrize("name", CHUNKERS)
def test_chunks_are_in_order_within_the_limit_and_have_no_white_space_around_them(name: str, text: str) -> None:
    chunks = CHUNKERS[name].split(text)

    assert [chunk.start for chunk in chunks] == sorted({chunk.start for chunk in chunks})
    for chunk in chunks:
        inner = text[chunk.start : chunk.end]
        assert 0 < len(inner) <= LIMIT
        assert inner == inner.strip()


def test_a_text_without_a_letter_has_no_chunk(chunker: Chunker) -> None:
    assert chunker.split("") == chunker.split(" \n\t\n ") == []


def test_a_short_sentence_stays_whole(chunker: Chunker) -> None:
    text = "눈은 겨울에 내려요."

    assert chunker.split(text) == [Chunk(0, len(text))]
