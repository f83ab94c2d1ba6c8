"""From what the parser's head says to the objects of a picture.

An object whose middle lies near the border of two cells is seen half from each. So candidates of different cells
whose boxes agree are one object: their presences add up, and what they say of it is averaged by how present each is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vision.parser.model import Reading
from vision.parser.targets import DEPTH_UNIT, SLOTS
from vision.scenes.scene import SceneObject
from vision.scenes.vocabulary import ATTRIBUTES, VALUES

MOST = 10  # objects of a picture; the surest are kept
_FAINTEST = 0.02  # presence of a candidate that is looked at
_SAME = 0.7  # boxes that overlap by this share are one object
_SAME_COLOUR = 0.5  # by this share if they are of one colour


@dataclass(frozen=True)
class Found:
    """An object that was read off a picture, and how sure the parser is of all it says of it (0..1)."""

    thing: SceneObject
    sureness: float


def objects_of(reading: Reading, size: int, least: float = 0.5) -> list[list[Found]]:
    """The objects of each picture that are present by at least `least`, from left to right, numbered from 1; boxes and
    places in pixels of `size`."""
    presence = reading.presence.sigmoid()
    likely = [logits.softmax(-1) for logits in reading.attributes]
    return [_objects(reading, presence, likely, number, size, least) for number in range(len(presence))]


def _objects(
    reading: Reading, presence: torch.Tensor, likely: list[torch.Tensor], number: int, size: int, least: float
) -> list[Found]:
    present = presence[number]
    left = [c for c in present.argsort(descending=True).tolist() if present[c] >= _FAINTEST]
    kept: list[tuple[float, list[int]]] = []
    while left:
        first = left[0]
        same = [c for c in left if c == first or _are_one(reading, number, first, c)]
        left = [c for c in left if c not in same]
        kept.append((float(present[same].sum()), same))
    kept = sorted((k for k in kept if k[0] >= least), reverse=True)[:MOST]
    found = []
    for total, same in kept:
        weights = present[same] / present[same].sum()
        values, sureness = {}, min(1.0, total)
        for attribute, chances in zip(ATTRIBUTES, likely, strict=True):
            best = (weights[:, None] * chances[number, same]).sum(0).max(-1)
            values[attribute] = VALUES[attribute][int(best.indices)]
            sureness *= float(best.values)
        box = (weights[:, None] * reading.box[number, same]).sum(0).clamp(0, 1)
        u, depth = (weights[:, None] * reading.where[number, same]).sum(0).tolist()
        found.append((u, depth, box.tolist(), values, sureness))
    return [_found(rank, *one, size) for rank, one in enumerate(sorted(found, key=lambda f: f[0]), 1)]


def _found(
    rank: int, u: float, depth: float, box: list[float], values: dict[str, str], sureness: float, size: int
) -> Found:
    left, top, right, bottom = (round(edge * size) for edge in box)
    edges = (left, top, max(right, left + 1), max(bottom, top + 1))
    position = (u * size, (top + bottom) / 2, depth * DEPTH_UNIT)
    return Found(SceneObject(rank, **values, box=edges, position=position, visible=1.0), sureness)


def _are_one(reading: Reading, number: int, one: int, other: int) -> bool:
    """Whether two candidates are one object seen from two cells."""
    if one // SLOTS == other // SLOTS:
        return False
    colours = reading.attributes[ATTRIBUTES.index("colour")][number]
    least = _SAME_COLOUR if colours[one].argmax() == colours[other].argmax() else _SAME
    return _overlap(reading.box[number, one], reading.box[number, other]) >= least


def _overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    """Intersection over union of two boxes (4,)."""
    low, high = torch.maximum(one[:2], other[:2]), torch.minimum(one[2:], other[2:])
    inner = float((high - low).clamp_min(0).prod())
    areas = [float((box[2:] - box[:2]).clamp_min(0).prod()) for box in (one, other)]
    return inner / max(sum(areas) - inner, 1e-9)
