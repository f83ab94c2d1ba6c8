"""The part of a text where something was found, in pieces that are hits or not. Plain text: pages escape it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.text.morphemes import Stem
from web.search.query import Query

_BEFORE = 60  # characters around the first hit
_AFTER = 160
_MARKUP = re.compile(
    r"^[|: \t-]*-{3,}[|: \t-]*$"  # rules, and the second line of tables
    r"|^[ \t]*```.*$|^[ \t]*(?:#{1,6}|>|[-*+](?= ))[ \t]*"  # fences; what headings, quotations and lists begin with
    r"|[*`]+|~~",
    re.MULTILINE,
)
_GAPS = re.compile(r"[\s|]+")


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    is_hit: bool


def plain(markdown: str) -> str:
    """One line without the commonest marks, so that 눈이 of **눈**이 is one word."""
    return _GAPS.sub(" ", _MARKUP.sub("", markdown)).strip()


def passage(text: str, stems: Sequence[Stem], query: Query) -> list[Piece]:
    """Around the first hit; nothing if there is none. `text` as the stems were taken from."""
    hits = _joined([(stem.start, stem.end) for stem in stems if query.is_hit(stem)])
    if not hits:
        return []
    begin = _word_boundary(text, hits[0][0] - _BEFORE)
    end = (
        len(text) if hits[0][0] + _AFTER >= len(text) else max(hits[0][1], text.rfind(" ", begin, hits[0][0] + _AFTER))
    )
    pieces, at = [Piece("… ", False)] if begin else [], begin
    for start, stop in hits:
        if stop > end:
            break
        pieces += [Piece(text[at:start], False), Piece(text[start:stop], True)]
        at = stop
    rest = text[at:end] + (" …" if end < len(text) else "")
    return [piece for piece in (*pieces, Piece(rest, False)) if piece.text]


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without overlaps, in order."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _word_boundary(text: str, at: int) -> int:
    """The beginning of the word after `at`, or of the text."""
    return 0 if at <= 0 else text.find(" ", at) + 1
