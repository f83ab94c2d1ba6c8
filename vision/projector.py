"""From the encoder's patches to the language model's embedding space: the two layers of LLaVA 1.5 (arXiv:2310.03744).

Its weights have the names of transformers' LlavaMultiModalProjector, so they go into a LlavaForConditionalGeneration.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Projector(nn.Module):
    """(B, P, D_vision) -> (B, P, D_language), any float dtype."""

    def __init__(self, vision: int, language: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(vision, language)
        self.linear_2 = nn.Linear(language, language)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = self.linear_2(functional.gelu(self.linear_1(patches)))
        return projected
