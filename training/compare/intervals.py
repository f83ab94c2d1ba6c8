"""Numbers with what they may be worth: bootstrap confidence intervals over rows.

What is measured is counted row by row, and a number is a function of the sums: a mean of [value, 1], bits a byte of
[nats, bytes], BLEU of its n-gram counts. So all of them are resampled alike. Rows are taken as independent; two models
on the same rows are compared row by row (paired).

Letters: n rows, k counts of a row, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]
_TAIL = 2.5  # percent on each side


@dataclass(frozen=True)
class Measured:
    """One metric of one model."""

    counts: Counts  # (n, k)
    of_sums: Callable[[Counts], Any]  # (..., k) -> (...)
    is_better_high: bool = True


@dataclass(frozen=True, slots=True)
class Interval:
    """A number, and between what it lies in 95 of 100 resamples."""

    value: float
    low: float
    high: float
    rows: int


def mean_of(values: Sequence[float], *, is_better_high: bool = True) -> Measured:
    """A plain mean."""
    return ratio_of(values, [1.0] * len(values), is_better_high=is_better_high)


def ratio_of(above: Sequence[float], below: Sequence[float], *, is_better_high: bool = True) -> Measured:
    """The sum of one over the sum of the other, like nats a token."""
    return Measured(np.column_stack((above, below)).astype(float), _ratio, is_better_high)


def interval(measured: Measured, seed: int, resamples: int) -> Interval:
    """Raises ValueError: there are no rows."""
    count = len(measured.counts)
    drawn = measured.of_sums(_weights(count, seed, resamples) @ measured.counts)
    low, high = np.percentile(drawn, [_TAIL, 100 - _TAIL])
    return Interval(float(measured.of_sums(measured.counts.sum(0))), float(low), float(high), count)


def difference(one: Measured, other: Measured, seed: int, resamples: int) -> Interval:
    """`one` less `other`, on the same rows. Raises ValueError: they are not the same number of rows."""
    if len(one.counts) != len(other.counts):
        raise ValueError(f"{len(one.counts)} rows cannot be paired with {len(other.counts)}")
    weights = _weights(len(one.counts), seed, resamples)
    drawn = one.of_sums(weights @ one.counts) - other.of_sums(weights @ other.counts)
    low, high = np.percentile(drawn, [_TAIL, 100 - _TAIL])
    value = one.of_sums(one.counts.sum(0)) - other.of_sums(other.counts.sum(0))
    return Interval(float(value), float(low), float(high), len(one.counts))


def _weights(count: int, seed: int, resamples: int) -> Counts:
    """How often each row is drawn: (R, n)."""
    if not count:
        raise ValueError("no rows to measure")
    return np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=resamples).astype(float)


def _ratio(sums: Counts) -> Any:
    return sums[..., 0] / np.maximum(sums[..., 1], 1e-12)
