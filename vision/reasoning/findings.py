"""What was read off a picture, for whoever marks it: the objects behind their numbers. Knows no tensors."""

from __future__ import annotations

from dataclasses import dataclass

from vision.scenes.scene import SceneObject


@dataclass(frozen=True, slots=True)
class Findings:
    """`objects` from left to right, their ids are their numbers from 1, their boxes in pixels of `size`."""

    objects: tuple[SceneObject, ...]
    size: int
