"""Documents without pages of their own: their text, with headings as `## ...`, in parts that stand for pages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from shared.text.chunking.base import trimmed
from shared.text.chunking.recursive import divided
from shared.text.sentences import Span
from workers.ingest.parsing.parsed import ParsedPage

PART_CHARACTERS = 3000

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufeff\ufffe\uffff]")
_SPACES = re.compile(r"[ \t\xa0]+")


def heading(level: int, text: str) -> str:
    """A line of its own. `level`: from 1."""
    return f"{'#' * min(max(level, 1), 6)} {' '.join(text.split())}"


def tidy_line(text: str) -> str:
    return _SPACES.sub(" ", _CONTROLS.sub(" ", text)).strip()


def parts_of(blocks: Iterable[str]) -> Iterator[ParsedPage]:
    """`blocks`: paragraphs, headings, rows of tables, as plain text."""
    kept = (block.strip("\n") for block in blocks)
    text = unicodedata.normalize("NFC", "\n\n".join(block for block in kept if block.strip()))
    for number, part in enumerate(trimmed(text, divided(text, Span(0, len(text)), PART_CHARACTERS)), 1):
        yield ParsedPage(number, text[part.start : part.end])
