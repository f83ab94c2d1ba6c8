"""Pictures as the encoder wants them: square, small, and around zero.

Training does by itself, faster, what the image processor of a published model does; a test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import SiglipImageProcessorPil


def image_processor(size: int) -> Any:  # its own types leave out what Pillow opens
    """What a published model gets beside it: pictures of any shape become (3, size, size) in -1..1."""
    return SiglipImageProcessorPil(
        size={"height": size, "width": size}, resample=2, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )


def as_pixels(picture: Image.Image, size: int) -> NDArray[np.uint8]:
    """A picture of any shape as (size, size, 3) sRGB."""
    picture = picture.convert("RGB")
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def read_pixels(paths: Sequence[Path], size: int) -> NDArray[np.uint8]:
    """Picture files as (N, size, size, 3) sRGB. Raises: OSError: one cannot be read."""
    pixels = np.empty((len(paths), size, size, 3), np.uint8)
    for number, path in enumerate(paths):
        with Image.open(path) as picture:
            pixels[number] = as_pixels(picture, size)
    return pixels


def normalised(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """(B, S, S, 3) bytes as (B, 3, S, S) float32 in -1..1."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
