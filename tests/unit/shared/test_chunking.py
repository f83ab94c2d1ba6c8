"""Where each strategy cuts."""

from __future__ import annotations

import pytest

from shared.text.chunking.base import Chunk, Chunker
from shared.text.chunking.fixed import FixedChunker
from shared.text.chunking.markdown_header import MarkdownHeaderChunker
from shared.text.chunking.recursive import RecursiveChunker
from shared.text.chunking.semantic import SemanticChunker
from shared.text.embedding import HashedNgrams
from shared.text.sentences import sentences


def cut(chunker: Chunker, text: str) -> list[str]:
    return [text[chunk.start : chunk.end] for chunk in chunker.split(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("비가 왔다. 우산을 썼다.", ["비가 왔다.", "우산을 썼다."]),
        ("정말요?! 네, “그래요.” 갔어요", ["정말요?!", "네, “그래요.”", "갔어요"]),
        ("값은 3.5이고 제2.1절에 있다. 끝", ["값은 3.5이고 제2.1절에 있다.", "끝"]),
        ("1. 첫째는 이렇다. 2. 둘째", ["1. 첫째는 이렇다.", "2. 둘째"]),
        ("문장이 줄\n끝에서 꺾인다. 다음", ["문장이 줄\n끝에서 꺾인다.", "다음"]),
        ("제목 줄\n\n본문이다", ["제목 줄", "본문이다"]),
        ("앞말\n# 제목\n본문이다.", ["앞말", "# 제목", "본문이다."]),
        ("예를 들어 e.g. 이것은 하나다. 끝", ["예를 들어 e.g. 이것은 하나다.", "끝"]),
    ],
)
def test_korean_sentences_end_where_readers_see_it(text: str, expected: list[str]) -> None:
    assert [text[start:end].strip() for start, end in sentences(text)] == expected


def test_fixed_windows_overlap() -> None:
    assert cut(FixedChunker(4, overlap=2), "abcdefgh") == ["abcd", "cdef", "efgh"]


def test_an_overlap_that_never_ends_is_refused() -> None:
    with pytest.raises(ValueError, match=r"overlap \(4\) must be from 0 to below limit \(4\)"):
        FixedChunker(4, overlap=4)


def test_recursive_cuts_at_the_widest_gap_there_is() -> None:
    text = "첫 문단이다.\n\n둘째 문단은 길다. 그래서 문장에서 잘린다.\n\n끝말이다"

    assert cut(RecursiveChunker(16), text) == [
        "첫 문단이다.",
        "둘째 문단은 길다.",
        "그래서 문장에서 잘린다.",
        "끝말이다",
    ]


def test_a_word_longer_than_a_chunk_is_cut_anywhere() -> None:
    assert cut(RecursiveChunker(4), "가나다라마바") == ["가나다라", "마바"]


def test_headings_stand_above_their_chunks() -> None:
    text = "머리말\n# 가\n본문 하나\n## 나\n본문 둘\n# 다\n본문 셋\n```\n# 주석\n```"
    chunks = MarkdownHeaderChunker(100).split(text)

    assert [chunk.heading for chunk in chunks] == [(), ("가",), ("가", "나"), ("다",)]
    assert text[chunks[1].start : chunks[1].end] == "# 가\n본문 하나"
    assert text[chunks[3].start : chunks[3].end].endswith("# 주석\n```")


def test_the_talk_is_cut_where_it_turns() -> None:
    sea = "바다의 파도가 높다. 바다의 파도가 거칠다. "
    tax = "종합소득세 신고는 오월이다. 종합소득세 신고는 온라인이다."

    assert cut(SemanticChunker(200, HashedNgrams()), sea + tax) == [sea.strip(), tax]


def test_a_fixed_chunk_knows_where_it_stands() -> None:
    assert FixedChunker(3).split("  가나다") == [Chunk(2, 3), Chunk(3, 5)]
