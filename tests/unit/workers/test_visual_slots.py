from __future__ import annotations

import numpy as np
import pytest
import torch

from workers.engine.base import Picture
from workers.engine.visual_slots import VisualSlots, with_slots

NOTHING = np.zeros((3, 1, 1), np.float32)


class Eyes:
    """Sees three vectors, each the number of the look."""

    def __init__(self) -> None:
        self.looks = 0

    def see(self, picture: Picture) -> torch.Tensor:
        self.looks += 1
        return torch.full((3, 2), float(self.looks))


def test_one_picture_has_the_same_ids_and_is_looked_at_once() -> None:
    eyes = Eyes()
    slots = VisualSlots(100, eyes.see)

    assert slots.hold(Picture("a", NOTHING)) == range(100, 103)
    assert slots.hold(Picture("b", NOTHING)) == range(103, 106)
    assert slots.hold(Picture("a", NOTHING)) == range(100, 103)
    assert eyes.looks == 2
    assert slots.vectors([105, 100]).tolist() == [[2, 2], [1, 1]]


def test_an_id_is_never_given_again() -> None:
    slots = VisualSlots(100, Eyes().see, most_unused=1)
    a, b = Picture("a", NOTHING), Picture("b", NOTHING)
    given = [*slots.hold(a), *slots.hold(b)]
    slots.release(a)
    slots.release(b)  # one too many: the one longest unused is forgotten

    assert slots.hold(b) == range(103, 106)
    with pytest.raises(KeyError):
        slots.vectors([100])
    assert not set(slots.hold(a)) & set(given)


def test_what_somebody_still_shows_is_kept() -> None:
    slots = VisualSlots(100, Eyes().see, most_unused=0)
    a = Picture("a", NOTHING)
    slots.hold(a)
    slots.hold(a)
    slots.release(a)

    assert slots.vectors([101]).tolist() == [[1, 1]]


def test_placeholders_are_replaced_in_order() -> None:
    assert with_slots([7, 3, 3, 8, 3, 3], 3, [range(100, 102), range(50, 52)]) == [7, 100, 101, 8, 50, 51]
    assert VisualSlots(100, Eyes().see).places([7, 100, 99, 101]) == [1, 3]
