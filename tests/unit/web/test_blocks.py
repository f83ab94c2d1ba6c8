"""Finished blocks: the same ones however the answer arrived, and finished for good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.chat.blocks import Block, finished_blocks
from web.chat.markdown import render

_LINES = (
    *(
        "가나다",
        "안녕하세요. **용어(Term)**을",
        "- 하나",
        "- ",
        "-",
        "  - 안쪽",
        "  이어짐",
        "1. 첫째",
        "2) 둘째",
        "> 인용",
    ),
    *(
        "```python",
        "```",
        "~~~",
        "    들여쓴 코드",
        "---",
        "===",
        "***",
        "# 제목",
        "#",
        "| 가 | 나 |",
        "|---|---|",
        "| 1 | 2 |",
    ),
    *("[x]: https://a.kr", "[x]:", "'제목'", "[x]", "", "", "", "\t", "🙂", "+", "* * *", "<div>", "\\", "   "),
)
_TEXTS = st.lists(st.sampled_from(_LINES)).map("\n".join)


def _streamed(text: str, cuts: list[int]) -> list[Block]:
    blocks: list[Block] = []
    for end in [*sorted(cut % (len(text) + 1) for cut in cuts), len(text)]:
        blocks += finished_blocks(text[:end], blocks[-1].end if blocks else 0)
    return blocks


@given(_TEXTS, st.lists(st.integers(min_value=0)))
def test_any_split_of_the_stream_finishes_the_same_blocks(text: str, cuts: list[int]) -> None:
    assert _streamed(text, cuts) == finished_blocks(text)


@given(_TEXTS)
def test_the_whole_answer_renders_as_its_blocks_did(text: str) -> None:
    blocks = finished_blocks(text)
    tail = text[blocks[-1].end :] if blocks else text

    assert render(text) == "".join(block.html for block in blocks) + render(tail)


@given(_TEXTS)
def test_blocks_lie_end_to_end(text: str) -> None:
    at = 0
    for block in finished_blocks(text):
        assert block.start == at < block.end <= len(text)
        at = block.end


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("", []),
        ("하나", []),
        ("하나\n\n", []),
        ("하나\n\n둘", []),
        ("하나\n\n둘\n", ["하나\n\n"]),
        ("하나\n---\n둘\n", ["하나\n---\n"]),
        ("하나\n***", []),
        ("- 가\n\n- 나\n\n끝\n", ["- 가\n\n- 나\n\n"]),
        ("```\n가\n\n나\n", []),
        ("```\n가\n\n나\n```\n끝\n", ["```\n가\n\n나\n```\n"]),
        ("🙂\n\n끝\n", ["🙂\n\n"]),
    ],
)
def test_a_block_is_finished_when_another_follows(text: str, sources: list[str]) -> None:
    assert [text[block.start : block.end] for block in finished_blocks(text)] == sources
