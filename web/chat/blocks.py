"""Which Markdown blocks of a growing answer are finished.

A block is finished when another one follows it. Only whole lines are looked at: the beginning of a line may
still turn out to belong to the block before it. CommonMark never goes back to a block it has closed, so what is
finished stays finished however the text is cut (tests/unit/web/test_blocks.py); only the open tail is parsed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from web.chat.markdown import parse, render


@dataclass(frozen=True, slots=True)
class Block:
    """A finished block: code points [start, end) of the answer, and their HTML."""

    start: int
    end: int
    html: str


def finished_blocks(text: str, start: int = 0) -> list[Block]:
    """The finished blocks of `text` from `start`, which is where a block begins. They lie end to end."""
    bounds = [start, *(_boundaries(text[start : text.rfind("\n") + 1], start))]
    return [Block(a, b, render(text[a:b])) for a, b in pairwise(bounds)]


def _boundaries(lines: str, offset: int) -> list[int]:
    """Where the second, third, ... top-level block begins."""
    starts = [token.map[0] for token in parse(lines) if token.level == 0 and token.nesting >= 0 and token.map]
    line_offsets = _line_offsets(lines)
    return [offset + line_offsets[line] for line in starts[1:]]


def _line_offsets(lines: str) -> list[int]:
    offsets = [0]
    for line in lines.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    return offsets
