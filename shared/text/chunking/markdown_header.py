"""Cut at headings (`## ...`), so that a chunk is about one thing and knows what it stands under."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.text.chunking.base import Chunk, trimmed
from shared.text.chunking.recursive import divided
from shared.text.sentences import Span

_HEADING = re.compile(r"^(#{1,6})[ \t]+(\S[^\n]*)$", re.MULTILINE)
_FENCE = re.compile(r"^(?:```|~~~).*?(?:^(?:```|~~~)[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class MarkdownHeaderChunker:
    limit: int

    def split(self, text: str) -> list[Chunk]:
        code = [match.span() for match in _FENCE.finditer(text)]
        headings = [
            match
            for match in _HEADING.finditer(text)
            if not any(start <= match.start() < end for start, end in code)  # a comment of some program
        ]
        chunks = trimmed(text, divided(text, Span(0, headings[0].start() if headings else len(text)), self.limit))
        above: list[tuple[int, str]] = []
        for at, match in enumerate(headings):
            level = len(match[1])
            above = [each for each in above if each[0] < level] + [(level, match[2].strip(" #\t"))]
            end = headings[at + 1].start() if at + 1 < len(headings) else len(text)
            path = tuple(title for _, title in above)
            chunks += trimmed(text, divided(text, Span(match.start(), end), self.limit), path)
        return chunks
