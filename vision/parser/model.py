"""The scene parser: a SigLIP-style encoder (arXiv:2303.15343) with a small head that reads objects off its patches.

Pixels (B, 3, S, S) -> patches (B, P, D) -> for each patch SLOTS candidates: is there an object, its attributes, its
box, where it stands. The head is only for reading; the language model is given the same patches by the projector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import SiglipVisionConfig, SiglipVisionModel

from vision.parser.targets import SLOTS, UNKNOWN, Targets
from vision.scenes.vocabulary import ATTRIBUTES, VALUES

_WIDTHS = (1, *(len(VALUES[a]) for a in ATTRIBUTES), 4, 2)  # presence, attributes, box, u and depth
_SHARPNESS = 60.0  # of the order of two objects, per picture width or DEPTH_UNIT
_BOX_WEIGHT, _WHERE_WEIGHT, _ORDER_WEIGHT, _PRESENCE_WEIGHT = 5.0, 5.0, 0.5, 20.0


@dataclass(frozen=True)
class Reading:
    """What the head says of B pictures: presence (B, C) logits, C = cells * SLOTS; attributes: a tuple of
    (B, C, values) logits in the order of ATTRIBUTES; box (B, C, 4) in 0..1; where (B, C, 2) u and depth."""

    presence: torch.Tensor
    attributes: tuple[torch.Tensor, ...]
    box: torch.Tensor
    where: torch.Tensor


class ParsingHead(nn.Module):
    """From patches (B, P, D) to a Reading."""

    column: torch.Tensor  # of each patch, its middle in 0..1
    row: torch.Tensor

    def __init__(self, width: int, patches: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, 2 * width)
        self.out = nn.Linear(2 * width, SLOTS * sum(_WIDTHS))
        grid = round(patches**0.5)
        centre = (torch.arange(patches) % grid + 0.5) / grid, (torch.arange(patches) // grid + 0.5) / grid
        self.register_buffer("column", centre[0], persistent=False)
        self.register_buffer("row", centre[1], persistent=False)

    def forward(self, patches: torch.Tensor) -> Reading:
        """patches: (B, P, D) any float dtype; what it gives is fp32."""
        out = self.out(functional.gelu(self.hidden(self.norm(patches)))).float()
        batch, count, _ = out.shape
        presence, *attributes, box, where = out.view(batch, count, SLOTS, -1).split(_WIDTHS, -1)
        column, row = self.column[None, :, None], self.row[None, :, None]
        middle = torch.stack([column, row, column, row], -1)
        u = torch.stack([column, torch.ones_like(column)], -1)
        flat = [x.flatten(1, 2) for x in (presence, *attributes, middle + box, u + where)]
        return Reading(flat[0][..., 0], tuple(flat[1:-2]), flat[-2], flat[-1])


class SceneParser(nn.Module):
    """Encoder and head."""

    def __init__(self, config: SiglipVisionConfig) -> None:
        super().__init__()
        self.encoder = SiglipVisionModel(config)
        self.head = ParsingHead(config.hidden_size, patches_of(config))

    @property
    def patch_size(self) -> int:
        """Pixels, both ways."""
        size: Any = self.encoder.config.patch_size
        return int(size)

    def forward(self, pixels: torch.Tensor) -> Reading:
        """pixels: (B, 3, S, S) normalised as the encoder wants them."""
        reading: Reading = self.head(self.patches(pixels))
        return reading

    def patches(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, P, D): the encoder's last layer before its closing norm, which is what LLaVA takes of it."""
        patches: torch.Tensor = self.encoder(pixels, output_hidden_states=True).hidden_states[-1]
        return patches


def patches_of(config: SiglipVisionConfig) -> int:
    """How many patches a picture has. Raises: ValueError: pictures or patches are not square."""
    if not isinstance(config.image_size, int) or not isinstance(config.patch_size, int):
        raise ValueError("only square pictures and patches are read")
    return (config.image_size // config.patch_size) ** 2


def loss(reading: Reading, targets: Targets) -> torch.Tensor:
    """Presence everywhere; attributes, boxes, places and the order of every two objects where there are some."""
    present = torch.zeros_like(reading.presence)
    present.scatter_add_(1, targets.place, targets.real.float())
    total = _PRESENCE_WEIGHT * functional.binary_cross_entropy_with_logits(reading.presence, present.clamp_max(1))
    real = targets.real
    for number, logits in enumerate(reading.attributes):
        total = total + functional.cross_entropy(
            _at(logits, targets)[real], targets.values[..., number][real], ignore_index=UNKNOWN
        )
    total = total + _BOX_WEIGHT * functional.smooth_l1_loss(
        _at(reading.box, targets)[real], targets.box[real], beta=0.05
    )
    where = _at(reading.where, targets)
    total = total + _WHERE_WEIGHT * functional.smooth_l1_loss(where[real], targets.where[real], beta=0.05)
    pairs = real[:, :, None] & real[:, None, :]
    pairs = pairs & ~torch.eye(real.shape[1], dtype=torch.bool)
    said = (where[:, :, None] - where[:, None]) * _SHARPNESS
    order = (targets.where[:, :, None] > targets.where[:, None]).float()
    return total + _ORDER_WEIGHT * functional.binary_cross_entropy_with_logits(said[pairs], order[pairs])


def _at(values: torch.Tensor, targets: Targets) -> torch.Tensor:
    """values (B, C, K) at the targets' places: (B, N, K)."""
    return values.gather(1, targets.place[..., None].expand(-1, -1, values.shape[-1]))
