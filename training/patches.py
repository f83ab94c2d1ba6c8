"""The patches of every training picture, seen once by the frozen encoder and kept on disk as float16.

They are made anew when the encoder's weights or the folders change.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training import loop
from training.config import AlignRecipe, ParserRecipe, load_recipe
from training.scene_parser import build_parser
from vision.parser.model import SceneParser
from vision.pixels import normalised, read_pixels
from vision.scenes.dataset import read_scenes

_AT_ONCE = 128  # pictures


def load_parser(recipe: ParserRecipe) -> SceneParser:
    """As it stands after its last piece of training, for reading."""
    parser = build_parser(recipe)
    loop.load_checkpoint(recipe.run_dir / "checkpoint.pt", parser)
    return parser.eval()


def patches_of(recipe: AlignRecipe) -> NDArray[np.float16]:
    """(pictures, P, D) of all folders of the recipe in their order, read from disk as needed."""
    parser_recipe = load_recipe(recipe.parser, ParserRecipe)
    weights = hashlib.sha256((parser_recipe.run_dir / "checkpoint.pt").read_bytes()).hexdigest()
    key = json.dumps({"parser": weights, "scenes": [str(folder) for folder in recipe.scenes]})
    values, told = recipe.run_dir / "patches.npy", recipe.run_dir / "patches.json"
    if not (told.exists() and told.read_text() == key):
        _write(recipe, parser_recipe, values)
        told.write_text(key)
    return np.load(values, mmap_mode="r")  # type: ignore[no-any-return]


@torch.inference_mode()
def _write(recipe: AlignRecipe, parser_recipe: ParserRecipe, path: Path) -> None:
    parser = load_parser(parser_recipe)
    shape = parser_recipe.encoder
    pictures = [folder / scene.picture for folder in recipe.scenes for scene in read_scenes(folder)]
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.lib.format.open_memmap(path, "w+", np.float16, (len(pictures), shape.grid**2, shape.hidden_size))
    for start in range(0, len(pictures), _AT_ONCE):
        part = read_pixels(pictures[start : start + _AT_ONCE], shape.image_size)
        with torch.autocast("cpu", torch.bfloat16):
            seen = parser.patches(normalised(part))
        values[start : start + len(part)] = seen.float().numpy()
        if start % (_AT_ONCE * 20) == 0:
            print(f"looked at {start + len(part)} of {len(pictures)} pictures", flush=True)
    values.flush()
