"""Root-mean-square norms as one operation; models spell them out in six.

A model has two for each layer, and at a few rows their launches cost as much as a matrix product. Families differ
(Gemma scales by 1 + weight), so a norm is replaced only if it says the same of some vector.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from workers.engine.row_kernels import normalise

_TOLERANCE = 1e-5  # of values near 1, in float32


class FusedNorm(nn.Module):
    def __init__(self, weight: torch.Tensor, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.epsilon = epsilon
        self._weights = weight.contiguous().numpy() if weight.is_cpu else None  # PyTorch's own has six there, too
        self._epsilon = np.float32(epsilon)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., width) alike."""
        if self._weights is None or x.dtype != torch.float32:
            return nn.functional.rms_norm(x, self.weight.shape, self.weight, self.epsilon)
        out = torch.empty_like(x, memory_format=torch.contiguous_format)
        width = len(self._weights)
        normalise(x.contiguous().view(-1, width).numpy(), self._weights, self._epsilon, out.view(-1, width).numpy())
        return out


@torch.inference_mode()
def fuse_norms(model: nn.Module) -> int:
    """Replace those that can be replaced. Returns their number."""
    fused = {
        name: norm for name, module in model.named_modules() if (norm := _fused(module)) is not None and "." in name
    }
    for name, norm in fused.items():
        model.set_submodule(name, norm)
    return len(fused)


def _fused(module: nn.Module) -> FusedNorm | None:
    weight, epsilon = getattr(module, "weight", None), getattr(module, "variance_epsilon", None)
    if not isinstance(weight, torch.Tensor) or weight.dim() != 1 or not isinstance(epsilon, float):
        return None
    if weight.dtype != torch.float32:  # in lower precision they round at another place
        return None
    norm = FusedNorm(weight.detach(), epsilon)
    probe = torch.linspace(-2.0, 3.0, len(weight), device=weight.device)[None]
    with torch.inference_mode():
        is_alike = torch.allclose(module(probe), norm(probe), atol=_TOLERANCE, rtol=_TOLERANCE)
    return norm if is_alike else None
