"""A row of numbers as the lines of a small SVG."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

WIDTH, HEIGHT = 180, 36
_MARGIN = 2


def lines(values: Sequence[float | None]) -> list[str]:
    """The `points` of one polyline for each stretch without a gap. From 0 to the greatest value; a single value is a
    dash."""
    known = [value for value in values if value is not None]
    top = max(known, default=0.0) or 1.0
    step = (WIDTH - 2 * _MARGIN) / max(1, len(values) - 1)

    def point(place: int, value: float) -> str:
        x, y = _MARGIN + place * step, HEIGHT - _MARGIN - value / top * (HEIGHT - 2 * _MARGIN)
        return f"{x:.1f},{y:.1f}"

    stretches = groupby(enumerate(values), key=lambda placed: placed[1] is not None)
    drawn = [[point(place, value or 0.0) for place, value in stretch] for is_known, stretch in stretches if is_known]
    return [" ".join(points if len(points) > 1 else _dash(points[0])) for points in drawn]


def _dash(point: str) -> list[str]:
    x, y = point.split(",")
    return [point, f"{min(WIDTH, float(x) + 2):.1f},{y}"]
