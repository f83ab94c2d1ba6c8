"""What a long row of measurements does: slopes that single outliers do not move, and drift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.bench.figures import percentile


def theil_sen(times: Sequence[float], values: Sequence[float]) -> float:
    """The median of the slopes between all pairs (Theil 1950, Sen 1968): up to 29 % of the values may be anything.
    Raises ValueError for fewer than two different times."""
    x, y = np.asarray(times, dtype=float), np.asarray(values, dtype=float)
    first, second = np.triu_indices(len(x), k=1)
    apart = x[second] - x[first]
    if not apart.any():
        raise ValueError("a slope needs two different times")
    return float(np.median((y[second] - y[first])[apart != 0] / apart[apart != 0]))


def percent_per_hour(seconds: Sequence[float], values: Sequence[float]) -> float:
    """The slope over the median of the values."""
    return 100 * 3600 * theil_sen(seconds, values) / float(np.median(values))


def p99_drift(times: Sequence[float], values: Sequence[float]) -> float:
    """The 99th percentile of the later half (by time) over that of the earlier half, less 1: 0 is no drift. Raises
    ValueError for fewer than two values."""
    if len(values) < 2:
        raise ValueError("drift needs two values")
    ordered = [value for _, value in sorted(zip(times, values, strict=True))]
    half = len(ordered) // 2
    return percentile(ordered[half:], 99) / percentile(ordered[:half], 99) - 1


def ends(values: Sequence[float]) -> tuple[float, float]:
    """The medians of the first and of the last quarter."""
    quarter = max(1, len(values) // 4)
    return float(np.median(values[:quarter])), float(np.median(values[-quarter:]))
