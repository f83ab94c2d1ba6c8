"""How well the scene parser reads pictures it never saw, without any language model: scenes read without a fault, and
questions that their own programs answer rightly from what was read.

How to run: `python -m training.parser_accuracy training/recipes/reference_parser.yaml [--scenes 200] [--seed 901]`
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from training.beginnings import begin_parser
from training.config import ParserRecipe, load_recipe
from training.patches import load_parser
from training.scene_parser import build_parser
from vision.parser import glances
from vision.parser.model import SceneParser
from vision.pixels import normalised
from vision.reasoning.listing import from_left
from vision.scenes.dataset import Example, Split, examples
from vision.scenes.programs import ProgramError, execute
from vision.scenes.scene import SceneObject
from vision.scenes.vocabulary import ATTRIBUTES

_AT_ONCE = 32  # pictures
_SPLITS: tuple[Split, ...] = ("test", "compositional")


@dataclass
class Accuracy:
    """Counts over scenes and their questions."""

    scenes: int = 0
    without_fault: int = 0
    questions: int = 0
    right: int = 0

    def add(self, example: Example, read: Sequence[SceneObject]) -> None:
        """What was read of one scene, from left to right."""
        self.scenes += 1
        self.without_fault += [_said(o) for o in read] == [_said(o) for o in from_left(example.scene.objects)]
        for question in example.questions:
            self.questions += 1
            try:
                self.right += execute(question.program, read).answer == question.answer
            except ProgramError:  # it asks for something that was not read
                continue

    def told(self) -> dict[str, float]:
        """Shares, 0..1, and over how many."""
        return {
            "scenes": self.scenes,
            "without_fault": round(self.without_fault / max(1, self.scenes), 4),
            "questions": self.questions,
            "right": round(self.right / max(1, self.questions), 4),
        }


def _said(thing: SceneObject) -> tuple[str, ...]:
    return tuple(str(getattr(thing, attribute)) for attribute in ATTRIBUTES)


@torch.inference_mode()
def read(parser: SceneParser, made: Iterable[Example], size: int) -> Iterator[tuple[Example, list[SceneObject]]]:
    """Each scene with what the parser sees in it; `size`: pixels of the pictures, and of those it takes."""
    left = iter(made)
    while part := list(itertools.islice(left, _AT_ONCE)):
        pixels = normalised(np.stack([example.pixels for example in part]))
        for example, found in zip(part, glances.read(parser, pixels, size), strict=True):
            yield example, [each.thing for each in found]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("recipe", type=Path)
    arguments.add_argument("--scenes", type=int, default=200, help="of each split")
    arguments.add_argument("--seed", type=int, default=901)
    arguments.add_argument("--published", action="store_true", help="of the model that the recipe begins with")
    found = arguments.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe(found.recipe, ParserRecipe)
    parser = build_parser(recipe)
    if found.published and recipe.begun is not None:
        begin_parser(recipe.begun, parser)
    else:
        parser = load_parser(recipe)
    parser.eval()
    for split in _SPLITS:
        accuracy = Accuracy()
        made = examples(found.seed, found.scenes, split, recipe.encoder.image_size)
        for example, things in read(parser, made, recipe.encoder.image_size):
            accuracy.add(example, things)
        print(split, json.dumps(accuracy.told()), flush=True)


if __name__ == "__main__":
    main()
