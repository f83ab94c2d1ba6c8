"""Batches in an order that is made anew for each epoch from its number alone: two numbers say where a run goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sized
from typing import Any, Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S", bound=Sized)
POOL = 64  # batches are cut from pools of this many batches' worth of rows, sorted by length


class Epochs(ABC, Generic[T]):
    """The items of an epoch, then of the next. Made when they are first asked for."""

    def __init__(self) -> None:
        self._epoch, self._place = 0, 0
        self._items: list[T] = []

    @abstractmethod
    def _make(self, epoch: int) -> list[T]:
        """All items of an epoch, the same for the same number."""

    def take(self, count: int) -> list[T]:
        """The next `count` items, of one epoch; a rest that is too small is left out."""
        if not self._items:
            self._items = self._make(self._epoch)
        if self._place + count > len(self._items):
            self._epoch, self._place = self._epoch + 1, 0
            self._items = self._make(self._epoch)
        taken = self._items[self._place : self._place + count]
        self._place += len(taken)
        return taken

    def cursor(self) -> dict[str, Any]:
        """Where the next item is taken from, for a checkpoint."""
        return {"epoch": self._epoch, "place": self._place}

    def seek(self, cursor: dict[str, Any]) -> None:
        """Go on from there."""
        self._epoch, self._place = cursor["epoch"], cursor["place"]
        self._items = self._make(self._epoch)


class EpochBatches(Epochs[T]):
    """Epochs whose items are whole batches."""

    def next(self) -> T:
        (batch,) = self.take(1)
        return batch


def bucket(rows: list[S], tokens_per_batch: int) -> list[list[S]]:
    """Rows of like length together, so that a padded batch holds at most `tokens_per_batch`."""
    average = sum(map(len, rows)) / max(1, len(rows))
    pool_size = max(1, int(POOL * tokens_per_batch / max(1.0, average)))
    batches: list[list[S]] = []
    for start in range(0, len(rows), pool_size):
        batch: list[S] = []
        for row in sorted(rows[start : start + pool_size], key=len):
            if batch and (len(batch) + 1) * len(row) > tokens_per_batch:
                batches.append(batch)
                batch = []
            batch.append(row)
        if batch:
            batches.append(batch)
    return batches
