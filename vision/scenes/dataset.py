"""Write and read a data set: pictures, `scenes.jsonl`, `questions.jsonl`. A scene depends on (seed, split, index).

| split | objects | wordings |
|---|---|---|
| train, test | no held-out pair of colour and shape | for training |
| compositional | at least two with a held-out pair, which every question names or rests on | for training |
| paraphrase | no held-out pair | held out only |
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision.scenes.geometry import Placement, Samples, View, look, view_of
from vision.scenes.layout import JUDGED_SAMPLES, draw_layout, middle
from vision.scenes.looks import SAMPLES_PER_PIXEL, paint
from vision.scenes.questions import Question, ask
from vision.scenes.scene import VERSION, Scene, SceneObject

Split = Literal["train", "test", "compositional", "paraphrase"]
SPLITS: tuple[Split, ...] = get_args(Split)
MIN_SIZE, MAX_SIZE = 96, 224  # pixels
PICTURES = "pictures"


@dataclass(frozen=True)
class Example:
    """A scene, its picture (size, size, 3) uint8 sRGB, and what is asked about it."""

    scene: Scene
    pixels: NDArray[np.uint8]
    questions: list[Question]


def make_example(seed: int, index: int, split: Split, size: int) -> Example:
    """Draw one scene, paint it and ask.

    Raises: ValueError: an unknown split, or a size outside 96 to 224 pixels."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(f"size {size} is outside {MIN_SIZE} to {MAX_SIZE} pixels")
    rng = random.Random(f"scene:{VERSION}:{seed}:{split}:{index}")
    layout = draw_layout(rng, held_out=split == "compositional")
    view = view_of(layout.camera)
    n = size * SAMPLES_PER_PIXEL
    samples = layout.judged if n == JUDGED_SAMPLES else look(view, layout.placements, n)
    scene = Scene(
        id=f"{split}-{seed}-{index:06d}",
        version=VERSION,
        split=split,
        seed=seed,
        index=index,
        picture=f"{PICTURES}/{index:06d}.png",
        size=size,
        camera=layout.camera,
        light=layout.light,
        background=layout.background,
        objects=_objects(view, layout.placements, layout.judged, samples, size),
    )
    pixels = paint(view, layout.placements, samples, layout.light, layout.background)
    words = random.Random(f"questions:{VERSION}:{seed}:{split}:{index}")
    return Example(scene, pixels, ask(scene, words, "held_out" if split == "paraphrase" else "train"))


def examples(seed: int, count: int, split: Split, size: int) -> Iterator[Example]:
    """The first `count` examples of a seed."""
    for index in range(count):
        yield make_example(seed, index, split, size)


def write(directory: Path, made: Iterator[Example]) -> Iterator[Example]:
    """Write each example as it passes; pictures, scenes and questions lie in `directory`.

    Raises: OSError: it cannot be written."""
    (directory / PICTURES).mkdir(parents=True, exist_ok=True)
    with (
        (directory / "scenes.jsonl").open("w", encoding="utf-8") as scenes,
        (directory / "questions.jsonl").open("w", encoding="utf-8") as questions,
    ):
        for example in made:
            Image.fromarray(example.pixels).save(directory / example.scene.picture)
            scenes.write(_line(example.scene.to_json()))
            questions.writelines(_line(question.to_json()) for question in example.questions)
            yield example


def read_scenes(directory: Path) -> Iterator[Scene]:
    """Its scenes in order. Raises: OSError, KeyError, TypeError, ValueError: it is not in the documented schema."""
    return map(Scene.from_json, _rows(directory / "scenes.jsonl"))


def read_questions(directory: Path) -> Iterator[Question]:
    """Its questions in order. Raises: OSError, KeyError, TypeError, ValueError: it is not in the documented schema."""
    return map(Question.from_json, _rows(directory / "questions.jsonl"))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def _objects(
    view: View, placements: tuple[Placement, ...], judged: Samples, samples: Samples, size: int
) -> tuple[SceneObject, ...]:
    """What is in the picture, with boxes from the samples themselves."""
    objects = []
    for number, placement in enumerate(placements):
        u, v, depth = middle(view, placement)
        objects.append(
            SceneObject(
                id=number,
                shape=placement.shape,
                colour=placement.colour,
                size=placement.size,
                material=placement.material,
                box=_box(samples, number),
                position=(round(u * size, 2), round(v * size, 2), round(depth, 3)),
                visible=round(judged.seen_counts[number] / judged.own_counts[number], 3),
            )
        )
    return tuple(objects)


def _box(samples: Samples, number: int) -> tuple[int, int, int, int]:
    """The pixels in which at least one sample shows the object: left, top, right, bottom."""
    rows, columns = np.nonzero(samples.owner == number)
    left, top = int(columns.min()) // SAMPLES_PER_PIXEL, int(rows.min()) // SAMPLES_PER_PIXEL
    right, bottom = int(columns.max()) // SAMPLES_PER_PIXEL + 1, int(rows.max()) // SAMPLES_PER_PIXEL + 1
    return left, top, right, bottom
