"""Where sentences end in Korean and English prose, in code points. Lines may be wrapped anywhere, as PDF has them.

By rules, because a morphological analyser would need a second for what these find in a millisecond: a full stop,
question mark or exclamation mark with what closes behind it, an empty line, a heading's line.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_END = re.compile(
    r"(?P<heading>^\#{1,6}[ ][^\n]*(?:\n|\Z))"
    r"|(?P<gap>\n[ \t]*\n\s*)"
    r"|(?P<stop>[.!?…。？！]+[\"'”’)\]」』》〉]*(?:\s+|\Z))",
    re.MULTILINE,
)
# 3.5 has no space behind its point, but "1. 첫째", "A. Smith" and "e.g. this" do.
_NO_END = re.compile(r"(?:(?:^|[\s(])(?:\d{1,3}|[A-Za-z가-힣])|\b(?:e\.g|i\.e|cf|vs|Dr|Mr|Mrs|No|Fig|pp))\.\s*$")
_LOOK_BACK = 8  # characters; the longest of these is shorter


class Span(NamedTuple):
    """Half open, in code points."""

    start: int
    end: int


def sentences(text: str) -> list[Span]:
    """Every character is in exactly one of them; the white space behind a sentence is its own."""
    found: list[Span] = []
    begin = 0
    for match in _END.finditer(text):
        if match["heading"] is not None and match.start() > begin:
            found.append(Span(begin, match.start()))
            begin = match.start()
        if match["stop"] is not None and _NO_END.search(text[max(begin, match.end() - _LOOK_BACK) : match.end()]):
            continue
        if match.end() > begin:
            found.append(Span(begin, match.end()))
            begin = match.end()
    if begin < len(text):
        found.append(Span(begin, len(text)))
    return found
