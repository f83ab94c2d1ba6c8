"""The encoder's patches as cells of a picture."""

from __future__ import annotations

from vision.scenes.scene import SceneObject


def cell_of(thing: SceneObject, size: int, grid: int) -> int:
    """The cell with the middle of its visible box, row by row. `size`: its pixels; `grid`: cells a side."""
    left, top, right, bottom = thing.box
    column, row = (min(grid - 1, int((a + b) / 2 / size * grid)) for a, b in ((left, right), (top, bottom)))
    return row * grid + column
