"""Pre-train the visual-reasoning model: read every object of a scene, its attributes, its place and the order of all.

The data are folders written by `python -m vision.scenes`. A picture is seen as it is or in a mirror, and now and then
in grey or with all its hues turned by an angle: training never shows some pairs of colour and shape, and a parser that
can guess a shape from its colour will. What colour a thing has is not asked of such pictures.
Runs in pieces; the same command goes on.

How to run:
    python -m vision.scenes --seed 11 --n 30000 --size 120 --out var/vision/train-11
    python -m training.scene_parser training/recipes/reference_parser.yaml --minutes 45 --decay-minutes 15
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import SiglipVisionConfig

from training import loop
from training.arguments import parse
from training.batches import Epochs
from training.beginnings import begin_parser
from training.config import ParserRecipe, load_recipe
from vision.parser.model import SceneParser, loss
from vision.parser.targets import collate, rows
from vision.pixels import normalised, read_pixels
from vision.scenes.dataset import read_scenes

Recolouring = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]  # pixels (S, S, 3) and a seed


@dataclass(frozen=True)
class Batch:
    """B pictures (B, S, S, 3), their tables of targets, and how each is shown."""

    pixels: NDArray[np.uint8]
    tables: torch.Tensor
    mirrored: list[bool]
    recoloured: list[bool]


class SceneBatches(Epochs[tuple[int, bool, Recolouring | None, int]]):
    """Pictures and targets; everything is read once and kept in memory."""

    def __init__(self, recipe: ParserRecipe) -> None:
        super().__init__()
        self._recipe = recipe
        scenes = [(folder, scene) for folder in recipe.scenes for scene in read_scenes(folder)]
        self._tables = torch.stack([rows(scene, recipe.encoder.grid) for _, scene in scenes])
        paths = [folder / scene.picture for folder, scene in scenes]
        self._pixels = read_pixels(paths, recipe.encoder.image_size)

    def _make(self, epoch: int) -> list[tuple[int, bool, Recolouring | None, int]]:
        """Number of the picture, whether it is mirrored, and what is done to its colours, by which seed."""
        rng = random.Random(f"{self._recipe.seed}:{epoch}")
        shares = self._recipe.grey_share, self._recipe.turned_share
        kinds: tuple[Recolouring | None, ...] = (greyed, turned, None)
        weights = (*shares, 1 - sum(shares))
        order = [
            (n, rng.random() < 0.5, rng.choices(kinds, weights)[0], rng.getrandbits(32))
            for n in range(len(self._pixels))
        ]
        rng.shuffle(order)
        return order

    def next(self) -> Batch:
        picked = self.take(self._recipe.pictures_per_step)
        shown = [self._pixels[n, :, ::-1] if m else self._pixels[n] for n, m, _, _ in picked]
        return Batch(
            np.stack([how(p, seed) if how else p for p, (_, _, how, seed) in zip(shown, picked, strict=True)]),
            self._tables[[n for n, _, _, _ in picked]],
            [m for _, m, _, _ in picked],
            [how is not None for _, _, how, _ in picked],
        )


def greyed(pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """(S, S, 3) in grey, as if through a colour filter that the seed picks."""
    filtered = pixels @ np.random.default_rng(seed).dirichlet((1.0, 1.0, 1.0))
    return np.repeat(filtered[..., None], 3, -1).astype(np.uint8)


def turned(pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """(S, S, 3) with every hue turned by one angle about the axis of greys, so that brightness stays."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    matrix = np.eye(3) * np.cos(angle) + (1 - np.cos(angle)) / 3 + across * np.sin(angle)
    seen: NDArray[np.uint8] = (pixels @ matrix.T).clip(0, 255).astype(np.uint8)
    return seen


def build_parser(recipe: ParserRecipe) -> SceneParser:
    """With random weights (fp32). Plain attention: over so few patches its backward pass is the faster one on a CPU."""
    options: dict[str, Any] = {**recipe.encoder.model_dump(), "attn_implementation": "eager"}
    return SceneParser(SiglipVisionConfig(**options, vision_use_head=False))


def main() -> None:
    arguments = parse(__doc__)
    recipe = load_recipe(arguments.recipe, ParserRecipe)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(recipe.seed)
    parser = build_parser(recipe)
    spent = None if recipe.begun is None else begin_parser(recipe.begun, parser)
    grid = recipe.encoder.grid

    def loss_of(batch: Batch) -> tuple[torch.Tensor, int]:
        with torch.autocast("cpu", torch.bfloat16):
            reading = parser(normalised(batch.pixels))
        wanted = collate(list(batch.tables), batch.mirrored, grid, batch.recoloured)
        return loss(reading, wanted), len(batch.pixels) * grid * grid

    loop.train(
        arguments,
        run_dir=recipe.run_dir,
        model=parser,
        recipe=recipe.optimizer,
        batches=SceneBatches(recipe),
        loss_of=loss_of,
        checkpoint_minutes=recipe.checkpoint_minutes,
        spent=spent,
    )


if __name__ == "__main__":
    main()
