"""Documents without pages of their own: their text, with headings as `## ...` and code between fences, in parts that
stand for pages. Code that is cut is closed at the end of one part and opened again at the beginning of the next."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from shared.text.chunking.base import trimmed
from shared.text.chunking.recursive import divided
from shared.text.sentences import Span
from workers.ingest.parsing.parsed import ParsedPage

PART_CHARACTERS = 3000
_LONGEST_FENCE = 20
_PIECE_CHARACTERS = PART_CHARACTERS - 2 * (_LONGEST_FENCE + 1)

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufeff\ufffe\uffff]")
_FENCE = re.compile(r"^[ \t]*(`{3,})", re.MULTILINE)
_SPACES = re.compile(r"[ \t\xa0]+")


def heading(level: int, text: str) -> str:
    """A line of its own. `level`: from 1."""
    return f"{'#' * min(max(level, 1), 6)} {' '.join(text.split())}"


def fenced(code: str) -> str:
    """As Markdown writes it, with a fence that the code does not hold itself. Empty for no code."""
    lines = [_CONTROLS.sub(" ", line).rstrip() for line in code.strip("\n").splitlines()]
    longest = max((len(mark) for line in lines for mark in _FENCE.findall(line)), default=2)
    fence = "`" * min(longest + 1, _LONGEST_FENCE)
    return "\n".join((fence, *lines, fence)) if any(lines) else ""


def tidy_line(text: str) -> str:
    return _SPACES.sub(" ", _CONTROLS.sub(" ", text)).strip()


def parts_of(blocks: Iterable[str]) -> Iterator[ParsedPage]:
    """`blocks`: paragraphs, headings, rows of tables, as plain text."""
    kept = (block.strip("\n") for block in blocks)
    text = unicodedata.normalize("NFC", "\n\n".join(block for block in kept if block.strip()))
    fence = ""
    for number, part in enumerate(trimmed(text, divided(text, Span(0, len(text)), _PIECE_CHARACTERS)), 1):
        piece = f"{fence}\n{text[part.start : part.end]}" if fence else text[part.start : part.end]
        fence = _left_open(piece)
        yield ParsedPage(number, f"{piece}\n{fence}" if fence else piece)


def _left_open(text: str) -> str:
    """The fence of code that goes on where `text` ends; empty: none does."""
    fence = ""
    for mark in _FENCE.findall(text):
        if not fence:
            fence = mark
        elif mark == fence:
            fence = ""
    return fence
