"""The list of a picture's objects read back from its tokens, and as objects that programs run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vision.reasoning.tokens import CELLS, DEPTHS, GRID, NUMBERS, SCENE, SCENE_END, control
from vision.scenes.scene import SceneObject
from vision.scenes.vocabulary import ATTRIBUTES, VALUES


@dataclass(frozen=True)
class Listed:
    """An object as a list tells it: numbered from 1 in the list's order."""

    number: int
    cell: int
    depth: int  # rank, 0 is the nearest
    size: str
    colour: str
    material: str
    shape: str


def read_listing(tokens: Sequence[str]) -> list[Listed] | None:
    """The objects of a list. None: it is not well formed."""
    width = 3 + len(ATTRIBUTES)
    if len(tokens) < 2 or tokens[0] != SCENE or tokens[-1] != SCENE_END or (len(tokens) - 2) % width:
        return None
    body, listed = tokens[1:-1], []
    for start in range(0, len(body), width):
        number, cell, depth, *values = body[start : start + width]
        if number not in NUMBERS or cell not in CELLS or depth not in DEPTHS:
            return None
        if any(v not in map(control, VALUES[a]) for a, v in zip(ATTRIBUTES, values, strict=True)):
            return None
        listed.append(
            Listed(NUMBERS.index(number) + 1, CELLS.index(cell), DEPTHS.index(depth), *(v[2:-2] for v in values))
        )
    return listed


def placed(listed: Sequence[Listed]) -> list[SceneObject]:
    """As objects that programs run on: their order is their u, their rank their depth; boxes are their cells."""
    return [
        SceneObject(
            id=thing.number,
            shape=thing.shape,
            colour=thing.colour,
            size=thing.size,
            material=thing.material,
            box=(thing.cell % GRID, thing.cell // GRID, thing.cell % GRID + 1, thing.cell // GRID + 1),
            position=(float(thing.number), 0.0, float(thing.depth)),
            visible=1.0,
        )
        for thing in listed
    ]
