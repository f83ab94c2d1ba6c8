"""Pictures as the encoder wants them: square, small, and around zero.

It is what SiglipImageProcessor does with a mean and deviation of 0.5 and bilinear resizing; a test compares them.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image


def as_pixels(picture: Image.Image, size: int) -> NDArray[np.uint8]:
    """A picture of any shape as (size, size, 3) sRGB."""
    picture = picture.convert("RGB")
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def normalised(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """(B, S, S, 3) bytes as (B, 3, S, S) float32 in -1..1."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
