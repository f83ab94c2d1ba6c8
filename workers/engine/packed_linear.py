"""Linear layers on a CPU at several times the speed of PyTorch's own (BENCHMARKS.md), with the same numbers up to
rounding: few rows by a compiled loop, more of them by oneDNN with weights that lie as it wants to read them.

PyTorch packs weights like that itself when it compiles a model; the operators can be called without.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from workers.engine.row_kernels import multiply

_FEW = 4  # rows, up to which the loop is faster
_FEW_THREADS = 4  # up to which it is, although it has one
_ROWS = 64  # the batch the layout is chosen for
_MOST_BYTES = 2 << 30  # of float32 weights, which are kept twice

_linear = torch.ops.mkldnn._linear_pointwise


class PackedLinear(nn.Module):
    """Stands for a nn.Linear of float32 or bfloat16 on a CPU; without gradients.

    Shapes: x (..., i), `other` and what is returned (..., o).
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self.adaptation: object | None = None  # what adapters change of the next pass: see AdaptedLinear
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self.weight = linear.weight if linear.weight.dtype == torch.float32 else None  # the loop's
        self._most_few = -1  # elements of x
        if self.weight is not None:
            self._most_few = _FEW * self.in_features if torch.get_num_threads() <= _FEW_THREADS else -1
            self._weights = self.weight.detach().contiguous().numpy()
            self._bias = (self.weight.new_zeros(self.out_features) if self.bias is None else self.bias.detach()).numpy()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._is_few(x):
            return self._few(x)
        if x.numel() == 0:  # a pass that only reads wants no logits, and oneDNN wants rows
            return x.new_empty((*x.shape[:-1], self.out_features))
        return self._many(x, "none")

    def silu(self, x: torch.Tensor) -> torch.Tensor:
        """SiLU of the output."""
        if self._is_few(x) or self.adaptation is not None:
            return nn.functional.silu(self(x), inplace=True)
        return self._many(x, "swish")

    def times(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        if self._is_few(x) or self.adaptation is not None:
            product: torch.Tensor = self(x)
            return product.mul_(other)
        return self._many_and(x, other, "mul")

    def plus(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        if self._is_few(x) or self.adaptation is not None:
            total: torch.Tensor = self(x)
            return total.add_(other)
        return self._many_and(x, other, "add")

    def _is_few(self, x: torch.Tensor) -> bool:
        return x.numel() <= self._most_few

    def _few(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, self.in_features)
        out = x.new_empty((len(rows), self.out_features))
        multiply(rows.contiguous().numpy(), self._weights, self._bias, out.numpy())
        return out.view(*x.shape[:-1], self.out_features)

    def _many(self, x: torch.Tensor, activation: str) -> torch.Tensor:
        out: torch.Tensor = _linear(x, self._packed, self.bias, activation, [], "")
        return out

    def _many_and(self, x: torch.Tensor, other: torch.Tensor, operation: str) -> torch.Tensor:
        out: torch.Tensor = _linear.binary(x, other, self._packed, self.bias, operation)
        return out


def pack(model: nn.Module) -> None:
    """Replace what can be replaced."""
    if not may_pack(model):
        return
    with torch.inference_mode():
        for name in [name for name, module in model.named_modules() if is_packable(module)]:
            linear: Any = model.get_submodule(name)
            model.set_submodule(name, PackedLinear(linear))  # one at a time: its old weights may go


def is_packable(module: nn.Module) -> bool:
    return (
        type(module) is nn.Linear
        and module.weight.device.type == "cpu"
        and module.weight.dtype in (torch.float32, torch.bfloat16)
    )


def may_pack(model: nn.Module) -> bool:
    """Whether there is the operator, and memory for what it keeps twice."""
    kept_twice = sum(
        each.nbytes for each in model.parameters() if each.dim() == 2 and each.dtype == torch.float32 and each.is_cpu
    )
    return bool(torch._C._has_mkldnn) and kept_twice <= _MOST_BYTES
