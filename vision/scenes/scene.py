"""A scene as it is written to `scenes.jsonl`: pure values, exact, without pixels.

The fields are fixed by `scene.schema.json`. Relations are derived, never written: A is left of B when its
`position` has the smaller u, in front of B when it has the smaller depth. The layout keeps every two objects
clearly apart in both, so neither question ever hangs on a pixel.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from vision.scenes.vocabulary import Where

VERSION = 1  # of files and of what a seed means; raised when either changes

_SIDE_AXES = {"left": (0, -1), "right": (0, 1), "front": (2, -1), "behind": (2, 1)}  # place in `position`, sign


@dataclass(frozen=True)
class SceneObject:
    """One thing in the picture, as a person who looks at it would report it."""

    id: int
    shape: str
    colour: str
    size: str
    material: str
    box: tuple[int, int, int, int]  # left, top, right, bottom of its visible pixels; right and bottom exclusive
    position: tuple[float, float, float]  # u, v of its middle in pixels; depth: distance from the camera's plane
    visible: float  # share of it that nothing hides, 0..1

    def matches(self, where: Where) -> bool:
        """Whether all these attributes are its own."""
        return all(getattr(self, attribute) == value for attribute, value in where.items())

    def is_beside(self, other: SceneObject, side: str) -> bool:
        """Whether it is on this side (left, right, front, behind) of the other, as the viewer sees it."""
        axis, sign = _SIDE_AXES[side]
        return sign * self.position[axis] > sign * other.position[axis]


@dataclass(frozen=True)
class Camera:
    """Where the viewer stands: above the near edge of the floor, looking at its middle."""

    height: float  # scene units above the floor
    distance: float  # scene units from the middle of the floor
    focal: float  # focal length in picture widths


@dataclass(frozen=True)
class Light:
    """One far lamp; the sky gives the rest."""

    azimuth_deg: float  # 0 from the right, 90 from behind the scene
    elevation_deg: float
    intensity: float
    tint: tuple[float, float, float]  # linear RGB around 1


@dataclass(frozen=True)
class Background:
    """The floor, and what it fades into."""

    kind: str  # plain, checker, stripes, speckle
    floor: tuple[float, float, float]  # sRGB 0..1
    second: tuple[float, float, float]  # the other colour of a pattern
    far: tuple[float, float, float]  # the distance and the sky
    scale: float  # of the pattern, scene units
    turn_deg: float  # of the pattern


@dataclass(frozen=True)
class Scene:
    """A picture's contents and how it was lit."""

    id: str
    version: int
    split: str
    seed: int
    index: int
    picture: str  # path beside scenes.jsonl
    size: int  # pixels, both ways
    camera: Camera
    light: Light
    background: Background
    objects: tuple[SceneObject, ...]

    def to_json(self) -> dict[str, Any]:
        """The row of `scenes.jsonl`."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Scene:
        """Read a row back. Raises: KeyError, TypeError: not a row of this schema."""
        objects = tuple(
            SceneObject(**{**o, "box": tuple(o["box"]), "position": tuple(o["position"])}) for o in row["objects"]
        )
        background: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row["background"].items()}
        light = {**row["light"], "tint": tuple(row["light"]["tint"])}
        parts = {"camera": Camera(**row["camera"]), "light": Light(**light), "background": Background(**background)}
        return cls(**{**row, **parts, "objects": objects})
