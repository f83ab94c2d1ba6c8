"""From objects on a floor to which sample of the picture shows which of them.

Scene coordinates: x to the right, y away from the viewer, z up, floor at 0. Picture coordinates: u to the right,
v down, both 0..1 across the picture. A ray's direction has length one along the camera's axis, so its t is depth.
Notation: n samples across the picture, both ways. Arrays are (3, n, n) or (n, n) float32, [v, u] order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.scenes.scene import Camera
from vision.scenes.solids import SOLIDS, Floats, Solid

RADII = {
    "small": 0.47,
    "large": 0.84,
}  # scene units; even the farthest large one looks larger than the nearest small one
FLOOR = -1  # in `Samples.owner`
LOOK_AT_HEIGHT = 0.35


@dataclass(frozen=True)
class Placement:
    """One object before it is seen."""

    shape: str
    colour: str
    size: str
    material: str
    x: float
    y: float
    turn: float  # radians around its own axis

    @property
    def solid(self) -> Solid:
        """Its geometry, of size one."""
        return SOLIDS[self.shape]

    @property
    def scale(self) -> float:
        """Scene units to one unit of its solid."""
        return RADII[self.size]

    @property
    def footprint(self) -> float:
        """Radius of the circle it needs on the floor."""
        return self.solid.radius * self.scale

    def to_own(self, vectors: Floats) -> Floats:
        """Directions (3, ...) from scene coordinates into its own, not yet scaled."""
        cos, sin = np.float32(math.cos(self.turn)), np.float32(math.sin(self.turn))
        return np.stack((cos * vectors[0] + sin * vectors[1], cos * vectors[1] - sin * vectors[0], vectors[2]))

    def to_scene(self, vectors: Floats) -> Floats:
        """Directions (3, ...) back into scene coordinates."""
        cos, sin = np.float32(math.cos(self.turn)), np.float32(math.sin(self.turn))
        return np.stack((cos * vectors[0] - sin * vectors[1], sin * vectors[0] + cos * vectors[1], vectors[2]))

    def points_to_own(self, points: Floats) -> Floats:
        """Points (3, ...) into the coordinates of its solid of size one."""
        moved = np.stack((points[0] - np.float32(self.x), points[1] - np.float32(self.y), points[2]))
        return self.to_own(moved) / np.float32(self.scale)

    def corners(self) -> Floats:
        """(3, 8): the corners of an upright box around it."""
        r, h = self.footprint, self.solid.height * self.scale
        return np.array([[self.x + i * r, self.y + j * r, k] for i in (-1, 1) for j in (-1, 1) for k in (0, h)], "f4").T


@dataclass(frozen=True)
class View:
    """A camera with its axes; what `project` and `rays` need."""

    camera: Camera
    eye: Floats  # (3,)
    axis: Floats  # (3,) forward
    up: Floats  # (3,)

    def project(self, points: Floats) -> Floats:
        """(3, k) scene points -> (3, k): u, v, depth."""
        relative = points - self.eye[:, None]
        depth = self.axis @ relative
        u = 0.5 + self.camera.focal * relative[0] / depth
        v = 0.5 - self.camera.focal * (self.up @ relative) / depth
        return np.stack((u, v, depth))

    def rays(self, n: int) -> Floats:
        """(3, n, n): the direction through the middle of every sample."""
        across: Floats = (((np.arange(n) + 0.5) / n - 0.5) / self.camera.focal).astype(np.float32)
        rows: Floats = self.axis[:, None] - self.up[:, None] * across  # (3, n)
        directions = np.repeat(rows[:, :, None], n, axis=2)
        directions[0] += across
        return directions


@dataclass(frozen=True)
class Samples:
    """What each sample shows."""

    owner: NDArray[np.int8]  # (n, n): number of the object, or FLOOR
    depth: Floats  # (n, n)
    rays: Floats  # (3, n, n)
    own_counts: tuple[int, ...]  # samples each object would fill if it were alone
    seen_counts: tuple[int, ...]  # samples it fills


Rectangle = tuple[slice, slice]


def view_of(camera: Camera) -> View:
    """Stand where the camera stands and look at the middle of the floor."""
    eye = np.array([0, -camera.distance, camera.height], np.float32)
    axis = np.array([0, camera.distance, LOOK_AT_HEIGHT - camera.height], np.float32)
    axis /= np.float32(np.sqrt((axis * axis).sum()))
    return View(camera, eye, axis, np.array([0, -axis[2], axis[1]], np.float32))


def rectangle(view: View, points: Floats, n: int) -> Rectangle:
    """The samples that (3, k) points and everything between them can cover."""
    u, v, _ = view.project(points)
    low_u, high_u = (min(max(int(edge), 0), n) for edge in (u.min() * n, u.max() * n + 2))
    low_v, high_v = (min(max(int(edge), 0), n) for edge in (v.min() * n, v.max() * n + 2))
    return slice(low_v, high_v), slice(low_u, high_u)


def look(view: View, placements: Sequence[Placement], n: int) -> Samples:
    """Cast one ray through each of n x n samples."""
    rays = view.rays(n)
    with np.errstate(over="ignore"):
        depth = np.where(rays[2] < -1e-6, -view.eye[2] / np.minimum(rays[2], np.float32(-1e-6)), np.float32(1e6))
    depth = np.minimum(depth, np.float32(1e6))
    owner = np.full((n, n), FLOOR, np.int8)
    own_counts = []
    for number, placement in enumerate(placements):
        part = rectangle(view, placement.corners(), n)
        origin = placement.points_to_own(view.eye[:, None, None])
        near = placement.solid.enter(origin, placement.to_own(rays[:, *part]) / np.float32(placement.scale))
        own_counts.append(int(np.isfinite(near).sum()))
        closer = near < depth[part]
        depth[part][closer] = near[closer]
        owner[part][closer] = number
    seen = np.bincount(owner.ravel() + 1, minlength=len(placements) + 1)[1:]
    return Samples(owner, depth, rays, tuple(own_counts), tuple(int(count) for count in seen))
