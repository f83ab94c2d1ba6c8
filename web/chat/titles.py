"""Titles of conversations: one line, short enough for the list."""

from __future__ import annotations

MOST_TITLE_CHARACTERS = 60
_LEAST_BEFORE_CUT = 20  # a title cut at a word keeps at least this much


def title_of(text: str) -> str:
    """`text` on one line, cut at a word if it is long; empty if there is nothing to see in it."""
    line = " ".join(text.split())
    if len(line) <= MOST_TITLE_CHARACTERS:
        return line
    cut = line[: MOST_TITLE_CHARACTERS - 1]
    at_word = cut.rpartition(" ")[0]
    return (at_word if len(at_word) >= _LEAST_BEFORE_CUT else cut) + "…"
