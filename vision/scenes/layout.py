"""Draw a scene by chance: what stands where, under which light, so that every question about it has one answer.

Promises: 3 to 10 objects inside the frame, none touching, any two clearly apart from left to right and from front
to back, and each visible by at least MIN_VISIBLE. A layout that breaks one is thrown away and drawn again; it never
depends on the size of the picture, because visibility is judged at JUDGED_SAMPLES.
"""

from __future__ import annotations

import colorsys
import math
import random
from dataclasses import dataclass

import numpy as np

from vision.scenes.geometry import Placement, Samples, View, look, view_of
from vision.scenes.scene import Background, Camera, Light
from vision.scenes.vocabulary import HELD_OUT_PAIRS, VALUES

MIN_OBJECTS, MAX_OBJECTS = 3, 10
MIN_VISIBLE = 0.4
MIN_SEEN_SHARE = 30 / 192**2  # of the picture: about 8 pixels at 96 px
JUDGED_SAMPLES = 192
SIDE_MARGIN = 0.028  # picture widths between the middles of two objects
DEPTH_MARGIN = 0.2  # scene units
GAP = 0.1  # scene units between footprints
_FRAME = 0.015  # picture widths kept free at the edges
_PLACES_TRIED = 40
_TRIES_PER_COUNT = 12


@dataclass(frozen=True)
class Layout:
    """A scene before it is drawn."""

    camera: Camera
    light: Light
    background: Background
    placements: tuple[Placement, ...]
    judged: Samples  # at JUDGED_SAMPLES; `look` again for another size


def draw_layout(rng: random.Random, held_out: bool = False) -> Layout:
    """Draw until the promises hold. With `held_out` at least two objects have a pair that training never shows."""
    camera = Camera(rng.uniform(6.4, 7.8), rng.uniform(8.8, 9.6), rng.uniform(1.38, 1.46))
    light, background = _light(rng), _background(rng)
    view = view_of(camera)
    count = rng.randint(MIN_OBJECTS, MAX_OBJECTS)
    tries = 0
    while True:
        tries += 1
        if tries % _TRIES_PER_COUNT == 0:
            count = max(MIN_OBJECTS, count - 1)
        placements = _place(rng, view, count, held_out)
        if placements is None:
            continue
        judged = look(view, placements, JUDGED_SAMPLES)
        if _all_visible(judged):
            return Layout(camera, light, background, placements, judged)


def _light(rng: random.Random) -> Light:
    warmth = rng.uniform(-0.05, 0.05)
    # from the front half and the sides: light from behind would hide every colour in shade
    return Light(
        round(rng.uniform(170, 370), 1),
        round(rng.uniform(42, 68), 1),
        round(rng.uniform(0.85, 1.15), 3),
        (round(1 + warmth, 3), 1.0, round(1 - warmth, 3)),
    )


def _background(rng: random.Random) -> Background:
    hue, saturation, value = rng.random(), rng.uniform(0.02, 0.16), rng.uniform(0.42, 0.86)
    contrast = rng.choice((-1, 1)) * rng.uniform(0.05, 0.11)
    colours = [
        colorsys.hsv_to_rgb(hue, saturation, value),
        colorsys.hsv_to_rgb(hue, saturation, value + contrast),
        colorsys.hsv_to_rgb((hue + rng.uniform(-0.1, 0.1)) % 1, saturation * 0.7, rng.uniform(0.45, 0.95)),
    ]
    floor, second, far = ((round(r, 3), round(g, 3), round(b, 3)) for r, g, b in colours)
    kind = rng.choice(("plain", "plain", "checker", "stripes", "speckle"))
    scale = rng.uniform(0.12, 0.2) if kind == "speckle" else rng.uniform(0.7, 1.5)
    return Background(kind, floor, second, far, round(scale, 3), round(rng.uniform(0, 90), 1))


def _draw_looks(rng: random.Random, must_hold_out: bool, may_hold_out: bool) -> tuple[str, str, str, str]:
    """Shape, colour, size, material of one object."""
    size, material = rng.choice(VALUES["size"]), rng.choice(VALUES["material"])
    if must_hold_out:
        colour, shape = rng.choice(sorted(HELD_OUT_PAIRS))
        return shape, colour, size, material
    while True:
        colour, shape = rng.choice(VALUES["colour"]), rng.choice(VALUES["shape"])
        if may_hold_out or (colour, shape) not in HELD_OUT_PAIRS:
            return shape, colour, size, material


def _place(rng: random.Random, view: View, count: int, held_out: bool) -> tuple[Placement, ...] | None:
    """Put objects down one by one; None: one found no place."""
    placements: list[Placement] = []
    seen: list[tuple[float, float]] = []  # u, depth
    for number in range(count):
        shape, colour, size, material = _draw_looks(rng, held_out and number < 2, held_out)
        for _ in range(_PLACES_TRIED):
            x, y, turn = rng.uniform(-3.4, 3.4), rng.uniform(-3.6, 3.6), rng.uniform(0, math.pi / 2)
            new = Placement(shape, colour, size, material, round(x, 3), round(y, 3), round(turn, 3))
            if any(_too_near(new, old) for old in placements):
                continue
            u, _, depth = middle(view, new)
            if any(abs(u - a) < SIDE_MARGIN or abs(depth - b) < DEPTH_MARGIN for a, b in seen):
                continue
            if _in_frame(view, new):
                placements.append(new)
                seen.append((u, depth))
                break
        else:
            return None
    rng.shuffle(placements)
    return tuple(placements)


def middle(view: View, placement: Placement) -> tuple[float, float, float]:
    """u, v of its middle (0..1) and the depth of the spot it stands on."""
    height = placement.solid.height * placement.scale
    points = np.array([[placement.x] * 2, [placement.y] * 2, [height / 2, 0]], np.float32)
    projected = view.project(points)
    return float(projected[0, 0]), float(projected[1, 0]), float(projected[2, 1])


def _too_near(one: Placement, other: Placement) -> bool:
    return math.hypot(one.x - other.x, one.y - other.y) < one.footprint + other.footprint + GAP


def _in_frame(view: View, placement: Placement) -> bool:
    u, v, _ = view.project(placement.corners())
    return bool(min(u.min(), v.min()) > _FRAME and max(u.max(), v.max()) < 1 - _FRAME)


def _all_visible(samples: Samples) -> bool:
    least = MIN_SEEN_SHARE * samples.owner.size
    pairs = zip(samples.seen_counts, samples.own_counts, strict=True)
    return all(seen >= max(least, MIN_VISIBLE * own) for seen, own in pairs)
