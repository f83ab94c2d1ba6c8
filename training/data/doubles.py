"""Conversations that say again what another one said: the same words, nearly the same, or the same question.

How to run: `find_doubles(rows).same[3]` is whether the fourth row has the words of an earlier one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from training.data.near import letters, nearest
from training.data.rows import Conversation


@dataclass(frozen=True)
class Doubles:
    """One value a row. A row without any is the first of its kind, so keeping those keeps one of each."""

    same: list[bool]  # all turns have the same letters, and the same pictures
    near: list[bool]  # not the same, but nearly (training/data/near.py)
    asks_again: list[bool]  # the same questions, another answer


def find_doubles(rows: Sequence[Conversation]) -> Doubles:
    """Look at all rows against those before them."""
    same = _repeats((*((role, letters(text)) for role, text in row.turns), row.pictures) for row in rows)
    asks = _repeats("\n".join(letters(text) for role, text in row.turns if role == "user") for row in rows)
    firsts = [place for place, is_same in enumerate(same) if not is_same]
    near = [False] * len(rows)
    for place, match in zip(firsts, nearest([rows[place].text for place in firsts]), strict=True):
        near[place] = match is not None
    return Doubles(same, near, [again and not known for again, known in zip(asks, same, strict=True)])


def _repeats(keys: Iterable[Hashable]) -> list[bool]:
    seen: set[Hashable] = set()
    found = []
    for key in keys:
        found.append(key in seen)
        seen.add(key)
    return found
