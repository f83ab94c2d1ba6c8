"""The objects of a picture as text evidence: from left to right, each with its number, cell, depth rank, attributes.

The order tells left and right, the rank tells front and behind, so every relation can be read off the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vision.grid import cell_of
from vision.reasoning.tokens import CELLS, DEPTHS, GRID, MOST_OBJECTS, NUMBERS, SCENE, SCENE_END, control
from vision.scenes.scene import SceneObject
from vision.scenes.vocabulary import ATTRIBUTES


def from_left(objects: Sequence[SceneObject]) -> list[SceneObject]:
    """In the order in which they are numbered."""
    return sorted(objects, key=lambda o: o.position[0])


def listing(objects: Sequence[SceneObject], size: int) -> list[str]:
    """The tokens for at most MOST_OBJECTS objects; `size`: pixels of the picture their boxes are in."""
    ordered = from_left(objects)[:MOST_OBJECTS]
    ranks = {id(o): rank for rank, o in enumerate(sorted(ordered, key=lambda o: o.position[2]))}
    tokens = [SCENE]
    for number, thing in enumerate(ordered):
        tokens += [NUMBERS[number], CELLS[cell_of(thing, size, GRID)], DEPTHS[ranks[id(thing)]]]
        tokens += [control(str(getattr(thing, attribute))) for attribute in ATTRIBUTES]
    return [*tokens, SCENE_END]


def numbered(ordered: Sequence[SceneObject]) -> list[SceneObject]:
    """The same objects with their numbers, from 1, as ids."""
    return [replace(thing, id=number) for number, thing in enumerate(ordered, 1)]
