"""Cut where a text has its widest gaps: between paragraphs, else lines, else sentences, else words, else anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from shared.text.chunking.base import Chunk, joined, trimmed
from shared.text.sentences import Span, sentences

_PARAGRAPHS, _LINES, _WORDS = (re.compile(gap) for gap in (r"\n[ \t]*\n\s*", r"\n\s*", r"\s+"))


@dataclass(frozen=True, slots=True)
class RecursiveChunker:
    limit: int

    def split(self, text: str) -> list[Chunk]:
        return trimmed(text, divided(text, Span(0, len(text)), self.limit))


def divided(text: str, span: Span, limit: int) -> list[Span]:
    """`span` in pieces of at most `limit` characters, without a gap between them."""
    return _divided(text, span, limit, 0)


def _divided(text: str, span: Span, limit: int, level: int) -> list[Span]:
    if span.end - span.start <= limit:
        return [span]
    if level == len(_LEVELS):
        return [Span(at, min(at + limit, span.end)) for at in range(span.start, span.end, limit)]
    inner = text[span.start : span.end]
    parts = (Span(span.start + part.start, span.start + part.end) for part in _LEVELS[level](inner))
    pieces = (piece for part in parts for piece in _divided(text, part, limit, level + 1))
    return joined(pieces, limit)


def _between(gap: re.Pattern[str]) -> Callable[[str], Iterator[Span]]:
    def parts(text: str) -> Iterator[Span]:
        begin = 0
        for match in gap.finditer(text):
            yield Span(begin, match.end())
            begin = match.end()
        yield Span(begin, len(text))

    return parts


_LEVELS: tuple[Callable[[str], Iterator[Span] | list[Span]], ...] = (
    _between(_PARAGRAPHS),
    _between(_LINES),
    sentences,
    _between(_WORDS),
)
