"""Linear layers whose weights lie as oneDNN wants to read them: 1.1 to 2.5 times as fast on a CPU as PyTorch's own for
more than a few rows (BENCHMARKS.md), with the same numbers up to rounding.

PyTorch packs weights like that itself when it compiles a model; the operators can be called without.
"""

from __future__ import annotations

import torch
from torch import nn

_FEW = 4
_ROWS = 64  # the batch the layout is chosen for
_MOST_BYTES = 2 << 30  # of float32 weights that are kept twice


class PackedLinear(nn.Module):
    """Stands for a nn.Linear of float32 or bfloat16 on a CPU; without gradients.

    In float32 a few rows are faster with the weights as they were, which are kept; in bfloat16 they are not.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight = linear.weight if linear.weight.dtype == torch.float32 else None
        self.bias = linear.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in features) to (..., out features)."""
        if self.weight is not None and x.numel() < _FEW * self.in_features:
            return nn.functional.linear(x, self.weight, self.bias)
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")
        return out


def pack(model: nn.Module) -> None:
    """Replace what can be replaced: nothing on other devices and in other precisions, nor what would need too much
    memory twice."""
    linears = {
        name: module
        for name, module in model.named_modules()
        if type(module) is nn.Linear
        and module.weight.device.type == "cpu"
        and module.weight.dtype in (torch.float32, torch.bfloat16)
    }
    kept_twice = sum(each.weight.nbytes for each in linears.values() if each.weight.dtype == torch.float32)
    if not torch._C._has_mkldnn or kept_twice > _MOST_BYTES:
        return
    with torch.inference_mode():
        for name in list(linears):
            model.set_submodule(name, PackedLinear(linears.pop(name)))  # one at a time: its old weights may go
