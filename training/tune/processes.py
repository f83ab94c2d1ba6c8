"""Several processes that train one model, started by `accelerate launch`: all compute, the first one alone writes.

Started alone, a process is the first of one, and nothing here waits. All of them read the same rows in the same order,
and a step of the optimiser takes the same rows however many processes share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from shared.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Share:
    """What one process does of a step."""

    batch: int  # rows of a forward pass
    accumulation: int  # forward passes


@contextmanager
def together(*, on_cpu: bool) -> Iterator[None]:
    """Join the processes that were launched with this one, and part at the end."""
    PartialState(cpu=on_cpu)
    yield
    PartialState(cpu=on_cpu).destroy_process_group()


def count() -> int:
    """How many there are."""
    return int(PartialState().num_processes)


def is_first() -> bool:
    """Whether this one writes."""
    return bool(PartialState().is_main_process)


@contextmanager
def first_one_first() -> Iterator[None]:
    """The others come when the first has left: what it wrote is there."""
    with PartialState().main_process_first():
        yield


def wait() -> None:
    """Until all are here."""
    PartialState().wait_for_everyone()


def first_says(here: bool) -> bool:
    """What the first one thinks, so that all do the same."""
    said = [here]
    broadcast_object_list(said, from_process=0)
    return said[0]


def share(batch: int, accumulation: int) -> Share:
    """Of a step over `batch * accumulation` rows, with at most `batch` at once.

    Raises ConfigError: they cannot be shared evenly."""
    rows, processes = batch * accumulation, count()
    if rows % processes:
        raise ConfigError(
            f"training: {processes} processes cannot share the {rows} rows of a step (batch {batch} x accumulation"
            f" {accumulation}) evenly"
        )
    mine = rows // processes
    at_once = max(size for size in range(1, min(batch, mine) + 1) if mine % size == 0)
    return Share(at_once, mine // at_once)
