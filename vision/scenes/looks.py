"""Colours and surfaces, and the light on them: from samples to a picture.

Light is added up in linear RGB and turned to sRGB at the end. Rubber is dull with a wide faint shine; metal mirrors a
simple room (floor, horizon, sky, a lamp) in its own colour and has a small hard highlight.
Notation as in geometry.py; m is the number of samples that show objects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision.scenes.geometry import FLOOR, Placement, Samples, View, rectangle
from vision.scenes.scene import Background, Light
from vision.scenes.solids import Floats

SAMPLES_PER_PIXEL = 2  # both ways: four rays a pixel smooth its edges

COLOURS: dict[str, tuple[int, int, int]] = {  # sRGB of the surface itself
    "red": (205, 35, 40),
    "orange": (240, 122, 20),
    "yellow": (244, 213, 38),
    "green": (38, 145, 55),
    "sky": (96, 196, 238),
    "blue": (38, 62, 190),
    "purple": (132, 45, 165),
    "grey": (118, 120, 122),
}
_SHADE = np.float32(0.8)  # how much of the lamp a shadow takes away, so colours stay readable


def paint(
    view: View, placements: Sequence[Placement], samples: Samples, light: Light, background: Background
) -> NDArray[np.uint8]:
    """Light the samples and average them: (n / 2, n / 2, 3) sRGB."""
    towards = _direction(light)
    lamp = np.float32(light.intensity) * np.array(light.tint, np.float32)
    points = view.eye[:, None, None] + samples.rays * samples.depth
    shadow = _shadows(view, placements, samples, points, towards)
    near = _contact(view, placements, samples, points)
    floor = _floor(points, background)  # (3, n, n)
    shade = _soften(shadow)
    lit = (np.float32(0.36) + np.float32(0.8) * towards[2] * (1 - _SHADE * shade)) * near
    colour = floor * lit * lamp[:, None, None]
    colour = _fade(colour, samples.depth, background)
    _objects(colour, view, placements, samples, points, shadow, towards, lamp, background)
    half = colour[:, ::2] + colour[:, 1::2]
    pixels = (half[:, :, ::2] + half[:, :, 1::2]) / 4
    srgb = np.clip(pixels, 0, 1) ** np.float32(1 / 2.2)
    return np.ascontiguousarray((srgb * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))


def linear(colour: Sequence[float]) -> Floats:
    """sRGB 0..1 -> (3,) linear."""
    return np.asarray(colour, np.float32) ** np.float32(2.2)


def _direction(light: Light) -> Floats:
    azimuth, elevation = math.radians(light.azimuth_deg), math.radians(light.elevation_deg)
    flat = math.cos(elevation)
    return np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)], np.float32)


def _shadows(
    view: View, placements: Sequence[Placement], samples: Samples, points: Floats, towards: Floats
) -> NDArray[np.bool_]:
    """(n, n): whether something else stands between a sample and the lamp."""
    n = samples.owner.shape[0]
    shadow = np.zeros((n, n), np.bool_)
    for number, placement in enumerate(placements):
        corners = placement.corners()
        fallen = corners - towards[:, None] * (corners[2] / towards[2])
        part = rectangle(view, np.concatenate((corners, fallen), axis=1), n)
        other = samples.owner[part] != number
        start = placement.points_to_own(points[:, *part])
        ahead = placement.to_own(towards[:, None, None])
        shadow[part] |= np.isfinite(placement.solid.enter(start, ahead)) & other
    return shadow


def _contact(view: View, placements: Sequence[Placement], samples: Samples, points: Floats) -> Floats:
    """(n, n): less light from the sky close to where something stands."""
    n = samples.owner.shape[0]
    open_sky = np.ones((n, n), np.float32)
    for placement in placements:
        reach = 2.2 * placement.footprint
        spot = np.array([[placement.x + i, placement.y + j, 0] for i in (-reach, reach) for j in (-reach, reach)], "f4")
        part = rectangle(view, spot.T, n)
        x, y = points[0, *part] - placement.x, points[1, *part] - placement.y
        square = (x * x + y * y) / np.float32(placement.footprint**2)
        open_sky[part] *= 1 - np.float32(0.5) / (1 + square * square) * (square < 4.8)
    return open_sky


def _soften(shadow: NDArray[np.bool_]) -> Floats:
    """Blur by a few samples: no lamp is a point."""
    soft = np.pad(shadow, 3, mode="edge").astype(np.float32)  # rolled values from the other side stay in the margin
    for axis in (0, 1):
        for reach in (1, 2):
            soft = (
                np.float32(0.25) * (np.roll(soft, reach, axis) + np.roll(soft, -reach, axis)) + np.float32(0.5) * soft
            )
    return soft[3:-3, 3:-3]


def _floor(points: Floats, background: Background) -> Floats:
    """(3, n, n): the floor's own colour."""
    first, second = linear(background.floor), linear(background.second)
    if background.kind == "plain":
        return np.broadcast_to(first[:, None, None], points.shape)
    turn = math.radians(background.turn_deg)
    cos, sin = np.float32(math.cos(turn) / background.scale), np.float32(math.sin(turn) / background.scale)
    across = np.floor(np.clip(cos * points[0] + sin * points[1], -9999, 9999))
    along = np.floor(np.clip(cos * points[1] - sin * points[0], -9999, 9999))
    if background.kind == "stripes":
        share = np.mod(across, 2)
    elif background.kind == "checker":
        share = np.mod(across + along, 2)
    else:  # speckle: a hash of the cell, in integers so that every machine agrees
        cell = across.astype(np.int64) * 73856093 ^ along.astype(np.int64) * 19349663
        share = ((cell * 2654435761 >> 12) & 255).astype(np.float32) / np.float32(255)
    blended: Floats = first[:, None, None] + (second - first)[:, None, None] * share
    return blended


def _fade(colour: Floats, depth: Floats, background: Background) -> Floats:
    """The floor turns into the far background, without a line."""
    far = linear(background.far)[:, None, None]
    share: Floats = np.clip((depth - np.float32(12)) / np.float32(16), np.float32(0), np.float32(1))
    faded: Floats = colour + (far - colour) * share * share * (3 - 2 * share)
    return faded


def _objects(
    colour: Floats,
    view: View,
    placements: Sequence[Placement],
    samples: Samples,
    points: Floats,
    shadow: NDArray[np.bool_],
    towards: Floats,
    lamp: Floats,
    background: Background,
) -> None:
    """Write the colours of all samples that show objects into `colour` (3, n, n)."""
    shown = samples.owner != FLOOR
    owner = samples.owner[shown]
    place = points[:, shown]
    normal = np.empty_like(place)
    for number, placement in enumerate(placements):
        own = owner == number
        normal[:, own] = placement.to_scene(placement.solid.normal(placement.points_to_own(place[:, own])))
    metal = np.array([p.material == "metal" for p in placements])[owner]
    surface = np.stack([linear([level / 255 for level in COLOURS[p.colour]]) for p in placements], axis=1)[
        :, owner
    ]  # (3, m)
    to_eye = view.eye[:, None] - place
    to_eye /= np.sqrt(_dot(to_eye, to_eye))
    facing = np.maximum(_dot(normal, to_eye), 0)
    mirrored = 2 * facing * normal - to_eye
    lamp_share = 1 - _SHADE * shadow[shown]
    lambert = np.maximum(towards @ normal, 0) * lamp_share
    glint = np.maximum(towards @ mirrored, 0)
    sky = np.float32(0.5) + np.float32(0.5) * normal[2]
    ground = linear(background.floor)[:, None]

    square = glint * glint
    eighth = square * square
    eighth *= eighth
    bounce = np.float32(0.16) * (1 - sky) * (np.float32(0.5) + ground)
    dull = (
        surface * (np.float32(0.3) * sky + np.float32(0.82) * lambert + bounce) + np.float32(0.05) * eighth * lamp_share
    )

    centres = np.array([[p.x, p.y, p.solid.height * p.scale / 2] for p in placements], np.float32).T[:, owner]
    scales = np.array([p.scale for p in placements], np.float32)[owner]
    seen = (
        mirrored + np.float32(0.55) * (place - centres) / scales
    )  # the room is near: flat faces mirror more than one spot
    room = _room(seen, ground, linear(background.far)[:, None], glint)
    edge = (1 - facing) * (1 - facing)
    tinted = surface * (np.float32(0.22) * sky + np.float32(0.3) * lambert)
    mirror = room * (surface * np.float32(0.86) + np.float32(0.05) + np.float32(0.25) * edge)
    hard = eighth * eighth * eighth * lamp_share
    bright = tinted + mirror + np.float32(1.1) * hard * hard
    colour[:, shown] = np.where(metal, bright, dull) * lamp[:, None]


def _dot(one: Floats, other: Floats) -> Floats:
    """(3, m), (3, m) -> (m,)."""
    dot: Floats = one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
    return dot


def _room(seen: Floats, ground: Floats, far: Floats, glint: Floats) -> Floats:
    """(3, m): what a mirror sees in this direction: floor below, lamps on dark walls, bright sky above, the lamp."""
    up = seen[2]
    sky = np.float32(0.35) + np.float32(0.75) * np.clip(up, 0, 1)
    above = (np.float32(0.5) * far + np.float32(0.5)) * sky
    below = ground * (np.float32(0.2) + np.float32(0.5) * np.clip(-up, 0, 1))
    share = np.clip(up * 5 + np.float32(0.5), 0, 1)
    window = np.clip((glint - np.float32(0.8)) * 12, 0, 1)
    sideways = seen[0] / (np.abs(seen[1]) + np.float32(0.6))
    strips = np.maximum(np.cos(np.float32(4) * sideways), 0) * np.clip(1 - np.abs(up), 0, 1)
    room: Floats = below + (above - below) * share + np.float32(0.5) * window + np.float32(0.5) * strips
    return room
