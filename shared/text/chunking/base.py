"""A text in chunks that are small enough to be found and read: one promise (tests/contract/test_chunking.py)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from shared.text.sentences import Span


@dataclass(frozen=True, slots=True)
class Chunk:
    """`text[start:end]` of what was cut, in code points; `heading`: the headings above it, outermost first."""

    start: int
    end: int
    heading: tuple[str, ...] = ()


class Chunker(Protocol):
    """Chunks are in order, none is longer than `limit` characters, none is empty or begins or ends with white space,
    and every other character of the text is in one of them."""

    @property
    def limit(self) -> int: ...

    def split(self, text: str) -> list[Chunk]: ...


def trimmed(text: str, spans: Iterable[Span], heading: tuple[str, ...] = ()) -> list[Chunk]:
    """Without white space at their ends; those of white space alone are left out."""
    chunks = []
    for start, end in spans:
        inner = text[start:end]
        begin = start + len(inner) - len(inner.lstrip())
        if inner.strip():
            chunks.append(Chunk(begin, begin + len(inner.strip()), heading))
    return chunks


def joined(pieces: Iterable[Span], limit: int) -> list[Span]:
    """Neighbours together as long as they fit."""
    merged: list[Span] = []
    for piece in pieces:
        if merged and piece.end - merged[-1].start <= limit:
            merged[-1] = Span(merged[-1].start, piece.end)
        else:
            merged.append(piece)
    return merged
