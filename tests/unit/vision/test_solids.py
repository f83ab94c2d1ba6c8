"""Rays against solids: compared with small steps through space that only ask what is inside."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vision.scenes import solids
from vision.scenes.solids import SOLIDS, Floats


def is_inside(shape: str, p: Floats) -> NDArray[np.bool_]:
    """The definition of each solid. p: (3, ...)."""
    x, y, z = p
    across = np.sqrt(x**2 + y**2)
    inside = {
        "sphere": lambda: x**2 + y**2 + (z - 1) ** 2 < 1,
        "cube": lambda: np.maximum(np.maximum(abs(x), abs(y)), abs(z - solids.CUBE_HALF)) < solids.CUBE_HALF,
        "cylinder": lambda: (across < solids.CYLINDER_RADIUS) & (z > 0) & (z < solids.CYLINDER_HEIGHT),
        "cone": lambda: (z > 0) & (across / solids.CONE_RADIUS < 1 - z / solids.CONE_HEIGHT),
        "torus": lambda: (across - solids.TORUS_RING) ** 2 + (z - solids.TORUS_TUBE) ** 2 < solids.TORUS_TUBE**2,
    }[shape]()
    return np.asarray(inside, np.bool_)


def rays_from_above(count: int) -> tuple[Floats, Floats]:
    """Origins around and above, directions to points near the solid. (3, count) each."""
    rng = np.random.default_rng(0)
    origin = rng.normal(size=(3, count)) * 2
    origin[2] = np.abs(origin[2]) + 3
    target = rng.uniform(-1, 1, size=(3, count))
    target[2] = rng.uniform(0, 1.5, size=count)
    return origin.astype(np.float32), (target - origin).astype(np.float32)


@pytest.mark.parametrize("shape", sorted(SOLIDS))
def test_rays_enter_where_small_steps_first_find_the_inside(shape: str) -> None:
    origin, direction = rays_from_above(400)
    steps = np.linspace(0, 2.5, 5001, dtype=np.float32)
    points = origin[:, :, None] + direction[:, :, None] * steps
    inside = is_inside(shape, points)
    expected = np.where(inside.any(axis=1), steps[inside.argmax(axis=1)], np.inf)

    entered = SOLIDS[shape].enter(origin, direction)

    both = np.isfinite(entered) & np.isfinite(expected)
    assert (np.isfinite(entered) == np.isfinite(expected)).mean() > 0.98  # rays that only graze may differ
    assert both.sum() > 40
    assert np.quantile(np.abs(entered[both] - expected[both]), 0.98) < 0.004


@pytest.mark.parametrize("shape", sorted(SOLIDS))
def test_normals_point_out_of_the_solid(shape: str) -> None:
    origin, direction = rays_from_above(400)
    entered = SOLIDS[shape].enter(origin, direction)
    hit = np.isfinite(entered)
    points = origin[:, hit] + direction[:, hit] * entered[hit]

    normal = SOLIDS[shape].normal(points)

    assert np.allclose((normal**2).sum(axis=0), 1, atol=0.02)
    assert not is_inside(shape, points + 0.05 * normal).any()
    assert is_inside(shape, points - 0.05 * normal).mean() > 0.97
    assert ((normal * direction[:, hit]).sum(axis=0) < 0).mean() > 0.96  # but where an edge is rounded or a ray grazes
