"""From what the parser's head says to the objects of a picture.

An object whose middle lies near the border of two cells is seen half from each. So candidates of different cells
whose boxes agree are one object: their presences add up, and what they say of it is averaged by how present each is.
Of several glances (`glances.py`) each sees an object at most once: the strongest is put together with the one of every
other glance that agrees best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vision.parser.model import Reading
from vision.parser.targets import DEPTH_UNIT, SLOTS
from vision.scenes.scene import SceneObject
from vision.scenes.vocabulary import ATTRIBUTES, VALUES

MOST = 10  # objects of a picture; the surest are kept
_FAINTEST = 0.02  # presence of a candidate that is looked at
# Boxes of one object overlap by at least this share: of another colour, of the same colour.
_IN_ONE_GLANCE = (0.7, 0.5)
_IN_TWO_GLANCES = (0.3, 0.2)
_IN_GREY = 0.4  # and those of an object in colours and in grey


@dataclass(frozen=True)
class Found:
    """An object that was read off a picture, and how sure the parser is of all it says of it (0..1)."""

    thing: SceneObject
    sureness: float


@dataclass(frozen=True)
class _Seen:
    """What the C candidates of all glances at one picture say."""

    presence: torch.Tensor  # (C,)
    chances: tuple[torch.Tensor, ...]  # of the values of each attribute (C, values)
    box: torch.Tensor  # (C, 4)
    where: torch.Tensor  # (C, 2)
    boxes: list[list[float]]
    colours: list[int]  # the likeliest of each

    def are_one(self, one: int, other: int, least: tuple[float, float]) -> float:
        """By how much two candidates overlap if that is enough for one object, else 0."""
        share = _overlap(self.boxes[one], self.boxes[other])
        return share if share >= least[self.colours[one] == self.colours[other]] else 0.0


def objects_of(
    reading: Reading, size: int, least: float = 0.5, glances: int = 1, in_grey: Reading | None = None
) -> list[list[Found]]:
    """The objects of each picture that are present by at least `least` in the mean of the glances, from left to right,
    numbered from 1; boxes and places in pixels of `size`. The candidates of each glance lie together.

    `in_grey`: as many glances at the same pictures without their colours, which have a say in what shape a thing has:
    from its colour it is guessed too easily."""
    grey = _seen(in_grey) if in_grey is not None else [None] * len(reading.presence)
    return [_objects(one, other, size, least, glances) for one, other in zip(_seen(reading), grey, strict=True)]


def _seen(reading: Reading) -> list[_Seen]:
    """Of each picture."""
    presence = reading.presence.sigmoid()
    chances = [logits.softmax(-1) for logits in reading.attributes]
    colours = chances[ATTRIBUTES.index("colour")].argmax(-1).tolist()
    return [
        _Seen(one, tuple(c[number] for c in chances), box, where, box.tolist(), colours[number])
        for number, (one, box, where) in enumerate(zip(presence, reading.box, reading.where, strict=True))
    ]


@dataclass(frozen=True)
class _Thing:
    """What some candidates together say of one object."""

    presence: float
    chances: list[torch.Tensor]  # (values,) of each attribute
    box: list[float]
    where: list[float]


def _objects(seen: _Seen, in_grey: _Seen | None, size: int, least: float, glances: int) -> list[Found]:
    things = _things(seen, least, glances)
    if in_grey is not None:
        shape = ATTRIBUTES.index("shape")
        others = _things(in_grey, least, glances)
        for thing in things:
            same = max(others, key=lambda other: _overlap(thing.box, other.box), default=None)
            if same is not None and _overlap(thing.box, same.box) >= _IN_GREY:
                thing.chances[shape] = (thing.chances[shape] + same.chances[shape]) / 2
    return [_found(rank, one, size) for rank, one in enumerate(sorted(things, key=lambda one: one.where[0]), 1)]


def _things(seen: _Seen, least: float, glances: int) -> list[_Thing]:
    presences = seen.presence.tolist()
    each = len(presences) // glances
    ranges = [range(start, start + each) for start in range(0, len(presences), each)]
    parts = [part for candidates in ranges for part in _of_glance(seen, presences, candidates)]
    kept = [(sum(presences[c] for c in same) / glances, same) for same in _put_together(seen, presences, parts, each)]
    things = []
    for total, same in sorted((k for k in kept if k[0] >= least), reverse=True)[:MOST]:
        weights = (seen.presence[same] / seen.presence[same].sum())[:, None]
        box = (weights * seen.box[same]).sum(0).clamp(0, 1).tolist()
        where = (weights * seen.where[same]).sum(0).tolist()
        things.append(_Thing(total, [(weights * chances[same]).sum(0) for chances in seen.chances], box, where))
    return things


def _of_glance(seen: _Seen, presences: Sequence[float], candidates: Sequence[int]) -> list[list[int]]:
    """The candidates of one glance by object; the strongest of an object is the first."""
    left = sorted((c for c in candidates if presences[c] >= _FAINTEST), key=lambda c: -presences[c])
    parts = []
    while left:
        one, *others = left
        same = [c for c in others if c // SLOTS != one // SLOTS and seen.are_one(one, c, _IN_ONE_GLANCE)]
        left = [c for c in others if c not in same]
        parts.append([one, *same])
    return parts


def _put_together(seen: _Seen, presences: Sequence[float], parts: Sequence[list[int]], each: int) -> list[list[int]]:
    """The candidates of all glances by object. `each`: candidates of a glance."""
    left = sorted(parts, key=lambda part: -sum(presences[c] for c in part))
    objects = []
    while left:
        one, *others = left
        best: dict[int, tuple[float, list[int]]] = {}  # glance -> overlap, and what it sees there
        for part in others:
            glance, share = part[0] // each, seen.are_one(one[0], part[0], _IN_TWO_GLANCES)
            if glance != one[0] // each and share > best.get(glance, (0.0,))[0]:
                best[glance] = share, part
        same = [part for _, part in best.values()]
        left = [part for part in others if part not in same]
        objects.append([c for part in (one, *same) for c in part])
    return objects


def _found(rank: int, thing: _Thing, size: int) -> Found:
    left, top, right, bottom = (round(edge * size) for edge in thing.box)
    edges = (left, top, max(right, left + 1), max(bottom, top + 1))
    u, depth = thing.where
    values, sureness = {}, min(1.0, thing.presence)
    for attribute, chances in zip(ATTRIBUTES, thing.chances, strict=True):
        best = chances.max(-1)
        values[attribute] = VALUES[attribute][int(best.indices)]
        sureness *= float(best.values)
    position = (u * size, (top + bottom) / 2, depth * DEPTH_UNIT)
    return Found(SceneObject(rank, **values, box=edges, position=position, visible=1.0), sureness)


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes: left, top, right, bottom."""
    areas = [max(0.0, right - left) * max(0.0, bottom - top) for left, top, right, bottom in (one, other)]
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    inner = width * max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    return inner / max(sum(areas) - inner, 1e-9)
