"""Five solids of size one, standing on the floor z = 0: where a ray enters them, and which way they face.

Notation: o (3, ...) origins, d (3, ...) directions of any length, both in the solid's own coordinates, float32;
they need only broadcast with one another. t (...): the ray enters at o + t d; inf where it misses.
A ray that starts inside is a miss, which never happens: the camera is above and solids do not touch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CUBE_HALF = 0.8
CYLINDER_RADIUS, CYLINDER_HEIGHT = 0.78, 1.6
CONE_RADIUS, CONE_HEIGHT = 0.95, 1.9
TORUS_RING, TORUS_TUBE = 0.7, 0.34
_EPSILON = np.float32(1e-4)
_MARCH_STEPS = 20


@dataclass(frozen=True)
class Solid:
    """A shape's geometry."""

    enter: Callable[[Floats, Floats], Floats]
    normal: Callable[[Floats], Floats]  # (3, N) points of the surface -> (3, N) unit vectors outwards
    radius: float  # of the upright cylinder around it
    height: float


def _solve(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Both roots of a t^2 + 2 b t + c, and whether they are real."""
    square = b * b - a * c
    real = square > 0
    root: Floats = np.sqrt(np.maximum(square, np.float32(0)))
    steep: Floats = np.where(np.abs(a) < 1e-9, np.float32(1e-9), a)
    return (-b - root) / steep, (-b + root) / steep, real


def _first(near: Floats, far: Floats, hit: NDArray[np.bool_]) -> Floats:
    return np.where(hit & (near < far) & (near > _EPSILON), near, np.float32(np.inf))


def _slab(o: Floats, d: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """Where a ray enters and leaves the space between two planes across one axis."""
    inverse = 1 / np.where(np.abs(d) < 1e-9, np.float32(1e-9), d)
    one, two = (low - o) * inverse, (high - o) * inverse
    return np.minimum(one, two), np.maximum(one, two)


def _sphere(o: Floats, d: Floats) -> Floats:
    z = o[2] - 1
    a = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    b = o[0] * d[0] + o[1] * d[1] + z * d[2]
    c = o[0] * o[0] + o[1] * o[1] + z * z - 1
    return _first(*_solve(a, b, c))


def _sphere_normal(p: Floats) -> Floats:
    return p - np.array([[0], [0], [1]], np.float32)


def _cube(o: Floats, d: Floats) -> Floats:
    near, far = _slab(o[2], d[2], 0, 2 * CUBE_HALF)
    for axis in (0, 1):
        one, two = _slab(o[axis], d[axis], -CUBE_HALF, CUBE_HALF)
        near, far = np.maximum(near, one), np.minimum(far, two)
    return _first(near, far, near < far)


def _cube_normal(p: Floats) -> Floats:
    q = (p - np.array([[0], [0], [CUBE_HALF]], np.float32)) / CUBE_HALF
    return _unit(_bevel(np.abs(q)) * np.sign(q))


def _cylinder(o: Floats, d: Floats) -> Floats:
    a = d[0] * d[0] + d[1] * d[1]
    b = o[0] * d[0] + o[1] * d[1]
    c = o[0] * o[0] + o[1] * o[1] - CYLINDER_RADIUS**2
    near, far, real = _solve(a, b, c)
    low, high = _slab(o[2], d[2], 0, CYLINDER_HEIGHT)
    return _first(np.maximum(near, low), np.minimum(far, high), real)


def _cylinder_normal(p: Floats) -> Floats:
    across = np.sqrt(p[0] * p[0] + p[1] * p[1]) + 1e-9
    wall = _bevel(across / CYLINDER_RADIUS) / across
    return _unit(np.stack((p[0] * wall, p[1] * wall, _bevel(p[2] / CYLINDER_HEIGHT))))


def _cone(o: Floats, d: Floats) -> Floats:
    slope = (CONE_RADIUS / CONE_HEIGHT) ** 2
    z = o[2] - CONE_HEIGHT
    a = d[0] * d[0] + d[1] * d[1] - slope * d[2] * d[2]
    b = o[0] * d[0] + o[1] * d[1] - slope * z * d[2]
    c = o[0] * o[0] + o[1] * o[1] - slope * z * z
    one, two, real = _solve(a, b, c)
    best = np.full(np.broadcast(o[0], d[0]).shape, np.inf, np.float32)
    for t in (one, two):
        height = o[2] + t * d[2]
        good = real & (t > _EPSILON) & (height > 0) & (height < CONE_HEIGHT)
        best = np.where(good, np.minimum(best, t), best)
    return best  # its base lies on the floor: nothing looks at it from below


def _cone_normal(p: Floats) -> Floats:
    steepness = np.float32(CONE_RADIUS / CONE_HEIGHT)
    across = np.sqrt(p[0] * p[0] + p[1] * p[1]) + 1e-9
    length = np.sqrt(1 + steepness * steepness)
    return np.stack((p[0] / across / length, p[1] / across / length, np.full_like(across, steepness / length)))


def _torus(o: Floats, d: Floats) -> Floats:
    """Marched: the distance to the surface is a safe step, and a quartic is not worth its trouble."""
    low, high = _slab(o[2], d[2], 0, 2 * TORUS_TUBE)
    a = d[0] * d[0] + d[1] * d[1]
    b = o[0] * d[0] + o[1] * d[1]
    c = o[0] * o[0] + o[1] * o[1] - (TORUS_RING + TORUS_TUBE) ** 2
    near, far, real = _solve(a, b, c)
    start, end = np.maximum(np.maximum(near, low), _EPSILON), np.minimum(far, high)
    found = np.full(start.shape, np.inf, np.float32)
    inside = real & (start < end)
    t = start[inside]
    if t.size == 0:
        return found
    origin = np.stack([np.broadcast_to(o[i], start.shape)[inside] for i in range(3)])
    along = np.stack([np.broadcast_to(d[i], start.shape)[inside] for i in range(3)])
    step = 1 / np.sqrt((along * along).sum(axis=0))
    gap = t
    for _ in range(_MARCH_STEPS):
        x, y, z = origin + t * along
        ring = np.sqrt(x * x + y * y) - TORUS_RING
        z = z - TORUS_TUBE
        gap = np.sqrt(ring * ring + z * z) - TORUS_TUBE
        t = t + gap * step
    found[inside] = np.where((gap < 0.01) & (t < end[inside] + 0.01), t, np.float32(np.inf))
    return found


def _torus_normal(p: Floats) -> Floats:
    across = np.sqrt(p[0] * p[0] + p[1] * p[1]) + 1e-9
    pull = 1 - TORUS_RING / across
    normal = np.stack((p[0] * pull, p[1] * pull, p[2] - TORUS_TUBE))
    return _unit(normal)


def _bevel(share: Floats) -> Floats:
    """share ** 16: only points near a face's edge (1 in two directions) feel the other face, so edges catch light."""
    for _ in range(4):
        share = share * share
    return share


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / (
        np.sqrt(vectors[0] * vectors[0] + vectors[1] * vectors[1] + vectors[2] * vectors[2]) + 1e-9
    )
    return unit


SOLIDS: dict[str, Solid] = {
    "sphere": Solid(_sphere, _sphere_normal, 1.0, 2.0),
    "cube": Solid(_cube, _cube_normal, CUBE_HALF * 2**0.5, 2 * CUBE_HALF),
    "cylinder": Solid(_cylinder, _cylinder_normal, CYLINDER_RADIUS, CYLINDER_HEIGHT),
    "cone": Solid(_cone, _cone_normal, CONE_RADIUS, CONE_HEIGHT),
    "torus": Solid(_torus, _torus_normal, TORUS_RING + TORUS_TUBE, 2 * TORUS_TUBE),
}
