"""The little statistics that the measurements share."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(samples: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ranked = sorted(samples)
    return ranked[min(len(ranked) - 1, round(percent / 100 * (len(ranked) - 1)))]
