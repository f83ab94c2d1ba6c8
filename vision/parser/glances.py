"""Look at a picture several times, moved by a part of a patch each time, in colours and in grey, and put together what
was seen.

What lies between two patches in one glance lies inside one in another, and errors of single glances are outvoted
where candidates are put together (`reading.py`). The same is known as test-time augmentation; what it brought is in
BENCHMARKS.md.
"""

from __future__ import annotations

import itertools

import torch
from torch.nn import functional

from vision.parser.model import Reading, SceneParser
from vision.parser.reading import Found, objects_of

_MOVED = 0.3  # of a patch
_BRIGHTNESS = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
_WAYS = (-1, 0, 1)  # along each side
GLANCES = len(_WAYS) ** 2


@torch.inference_mode()
def read(parser: SceneParser, pixels: torch.Tensor, size: int) -> list[list[Found]]:
    """The objects of pictures (B, 3, S, S) normalised, from left to right; boxes and places in pixels of `size`."""
    grey = torch.einsum("bchw,c->bhw", pixels, torch.tensor(_BRIGHTNESS))[:, None].expand_as(pixels)
    return objects_of(look(parser, pixels), size, glances=GLANCES, in_grey=look(parser, grey))


@torch.inference_mode()
def look(parser: SceneParser, pixels: torch.Tensor) -> Reading:
    """pixels: (B, 3, S, S) normalised. Returns the candidates of all GLANCES, one glance after another, and where they
    are in the picture."""
    size = pixels.shape[-1]
    step = round(_MOVED * parser.patch_size)
    wide = functional.pad(pixels, (step, step, step, step), mode="replicate")
    moves = [(step * x, step * y) for x, y in itertools.product(_WAYS, _WAYS)]
    moved = [wide[..., step + y : step + y + size, step + x : step + x + size] for x, y in moves]
    seen = parser(torch.cat(moved))
    back = torch.tensor(moves).repeat_interleave(len(pixels), 0) / size  # of each glance, as they lie in `seen`
    box = seen.box + back.repeat(1, 2)[:, None]
    where = seen.where + functional.pad(back[:, :1], (0, 1))[:, None]
    attributes = tuple(map(_side_by_side, seen.attributes))
    return Reading(_side_by_side(seen.presence), attributes, _side_by_side(box), _side_by_side(where))


def _side_by_side(seen: torch.Tensor) -> torch.Tensor:
    """(GLANCES * B, C, ...) -> (B, GLANCES * C, ...)."""
    return seen.view(GLANCES, -1, *seen.shape[1:]).transpose(0, 1).flatten(1, 2)
