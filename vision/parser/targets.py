"""What the parser learns of a scene: for each cell of a grid, the objects whose middles lie in it.

An object belongs to the cell (a patch of the encoder) with the middle of its visible box, as in CenterNet
(arXiv:1904.07850). A cell has SLOTS slots, the nearest object first, because two middles may share a cell; an object
beyond that is dropped, which happens to about one in ten thousand at a grid of 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vision.grid import cell_of
from vision.scenes.scene import Scene
from vision.scenes.vocabulary import ATTRIBUTES, VALUES

SLOTS = 2
DEPTH_UNIT = 10.0  # scene units; depths are told as shares of it
ROW = 1 + len(ATTRIBUTES) + 4 + 2  # place, attribute values, box, u and depth
MOST = 10  # objects of a scene
UNKNOWN = -100  # the value of an attribute that cannot be seen: it is not learned


@dataclass(frozen=True)
class Targets:
    """Of B scenes, padded to N objects each.

    place: (B, N) int64, cell * SLOTS + slot; values: (B, N, attributes) int64 in the order of ATTRIBUTES, UNKNOWN where
    it cannot be seen; box: (B, N, 4) left, top, right, bottom in 0..1; where: (B, N, 2) u in 0..1, depth in DEPTH_UNIT;
    real: (B, N) bool, False where padded."""

    place: torch.Tensor
    values: torch.Tensor
    box: torch.Tensor
    where: torch.Tensor
    real: torch.Tensor


def rows(scene: Scene, grid: int) -> torch.Tensor:
    """A scene as (MOST, ROW) float32, unused rows with place -1."""
    table = torch.full((MOST, ROW), -1.0)
    taken: dict[int, int] = {}
    number = 0
    for thing in sorted(scene.objects, key=lambda o: o.position[2]):
        cell = cell_of(thing, scene.size, grid)
        slot = taken.get(cell, 0)
        taken[cell] = slot + 1
        if slot == SLOTS:
            continue
        values = [VALUES[a].index(getattr(thing, a)) for a in ATTRIBUTES]
        box = [edge / scene.size for edge in thing.box]
        where = [thing.position[0] / scene.size, thing.position[2] / DEPTH_UNIT]
        table[number] = torch.tensor([cell * SLOTS + slot, *values, *box, *where])
        number += 1
    return table


def collate(
    tables: Sequence[torch.Tensor], mirrored: Sequence[bool], grid: int, recoloured: Sequence[bool] | None = None
) -> Targets:
    """Targets of scenes made by `rows`; a mirrored one is seen in a mirror, a recoloured one not in its own colours."""
    table = torch.stack(list(tables))
    real = table[..., 0] >= 0
    place = table[..., 0].long().clamp_min(0)
    split = [len(ATTRIBUTES), 4, 2]
    values, box, where = torch.split(table[..., 1:], split, -1)
    box, where = box.clone(), where.clone()
    flipped = torch.tensor(mirrored)
    cell, slot = place // SLOTS, place % SLOTS
    turned = (cell // grid) * grid + (grid - 1 - cell % grid)
    place = torch.where(flipped[:, None], turned * SLOTS + slot, place)
    box[flipped] = torch.stack([1 - box[..., 2], box[..., 1], 1 - box[..., 0], box[..., 3]], -1)[flipped]
    where[flipped] = torch.stack([1 - where[..., 0], where[..., 1]], -1)[flipped]
    values = values.long().clamp_min(0)
    if recoloured is not None:
        values[torch.tensor(recoloured), :, ATTRIBUTES.index("colour")] = UNKNOWN
    return Targets(place, values, box, where, real)
