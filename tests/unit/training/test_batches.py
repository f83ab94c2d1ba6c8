"""Epochs follow one another, a cursor goes on exactly, and batches of like length lose no row."""

from __future__ import annotations

import random

import pytest

from training.batches import EpochBatches, Epochs, bucket
from training.conversations import Encoded

LENGTHS = (7, 5, 8)  # items of the first epochs, which then repeat


class Numbered(EpochBatches[tuple[int, int]]):
    """Items that tell their epoch and place."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[int] = []

    def _make(self, epoch: int) -> list[tuple[int, int]]:
        self.made.append(epoch)
        return [(epoch, place) for place in range(LENGTHS[epoch % len(LENGTHS)])]


def _taken(stream: Epochs[tuple[int, int]], size: int, times: int) -> list[list[tuple[int, int]]]:
    return [stream.take(size) for _ in range(times)]


def test_every_batch_of_an_epoch_comes_once_and_then_the_next_epoch() -> None:
    stream = Numbered()

    found = [stream.next() for _ in range(sum(LENGTHS))]

    assert found == [(epoch, place) for epoch, length in enumerate(LENGTHS) for place in range(length)]
    assert stream.made == [0, 1, 2]


def test_what_is_too_little_for_a_step_at_the_end_of_an_epoch_is_left_out() -> None:
    assert _taken(Numbered(), 3, 4) == [
        [(0, 0), (0, 1), (0, 2)],
        [(0, 3), (0, 4), (0, 5)],
        [(1, 0), (1, 1), (1, 2)],
        [(2, 0), (2, 1), (2, 2)],
    ]


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("steps", range(1, 12))
def test_a_cursor_goes_on_as_if_nothing_had_been(size: int, steps: int) -> None:
    whole, again = Numbered(), Numbered()
    _taken(whole, size, steps)

    again.seek(whole.cursor())

    assert _taken(again, size, 9) == _taken(whole, size, 9)


@pytest.mark.parametrize(
    ("cursor", "following"),
    [
        ({"epoch": 0, "place": 0}, (0, 0)),
        ({"epoch": 4, "place": 3}, (4, 3)),
        ({"epoch": 1, "place": 5}, (2, 0)),  # an epoch that was just over
        ({"epoch": 1, "place": 6}, (2, 0)),  # an epoch that has become shorter
    ],
)
def test_cursors_of_checkpoints_are_an_epoch_and_a_place(cursor: dict[str, int], following: tuple[int, int]) -> None:
    stream = Numbered()

    stream.seek(cursor)

    assert stream.cursor() == cursor
    assert stream.next() == following
    assert stream.cursor() == {"epoch": following[0], "place": following[1] + 1}


def test_batches_keep_every_row_and_the_budget() -> None:
    rng = random.Random(0)
    rows = [Encoded([1] * n, [0] * n) for n in (rng.randint(5, 60) for _ in range(500))]

    batches = bucket(rows, tokens_per_batch=256)

    assert sorted(len(r.ids) for b in batches for r in b) == sorted(len(r.ids) for r in rows)
    assert all(len(b) * max(len(r.ids) for r in b) <= 256 for b in batches)
