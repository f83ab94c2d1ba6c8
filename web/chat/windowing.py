"""Which turns of a long branch a page shows: the last ones, more of them on request. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.chat import Generation

AT_ONCE = 30  # turns: what a slow machine lays out within a tenth of a second
_BEFORE = 4  # turns that are shown before one that was asked for


@dataclass(frozen=True, slots=True)
class Window:
    """All turns from `start` on. `earlier_id`: the one to ask for to see more; "" if all are shown."""

    start: int
    earlier_id: str


def window_of(turns: Sequence[Generation], wanted_id: str = "") -> Window:
    """The last turns of a branch, and all from shortly before the wanted one, if it is among them."""
    place = next((place for place, turn in enumerate(turns) if turn.id == wanted_id), len(turns))
    start = max(0, min(len(turns) - AT_ONCE, place - _BEFORE))
    return Window(start, turns[max(0, start - AT_ONCE + _BEFORE)].id if start else "")
