"""One linear layer of the base model, and what adapters change of its output for their own rows.

LoRA:  y = W x + c + s B A x
DoRA:  y = g (W x + s B A x) + c,   g = magnitude / |W + s B A|, one number for each output

as PEFT computes them, with c the layer's bias. Everything that does not depend on x is folded in at load: B holds
s (and g), `shift` is c - g c. The module stays where it is in the model; only its `forward` is replaced, once,
which costs a tenth of a microsecond while no row of a batch has an adapter here.

Shapes: n rows of all sequences, i inputs, o outputs, r rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch

from workers.engine.adapters.adapter_files import LoraTensors
from workers.engine.row_kernels import adapt

_COLUMNS = 512  # of the weight at once while its norms are computed
_MANY = 24  # rows of an adapter from which on torch's products are faster than the kernel (1.6 times at 128)
_NONE = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """Of one adapter in one layer, ready to use."""

    a: torch.Tensor  # (r, i)
    b: torch.Tensor  # (r, o)
    gain: torch.Tensor | None  # (o,); None: LoRA
    shift: torch.Tensor | None  # (o,); None: LoRA

    @property
    def size_bytes(self) -> int:
        return sum(part.nbytes for part in self._parts())

    def is_finite(self) -> bool:
        return all(bool(part.isfinite().all()) for part in self._parts())

    def _parts(self) -> list[torch.Tensor]:
        return [part for part in (self.a, self.b, self.gain, self.shift) if part is not None]


def prepare(module: Any, tensors: LoraTensors, like: torch.Tensor) -> LayerWeights:
    """Fold and move an adapter's tensors. `like`: a tensor of the dtype and device in which the model computes."""
    a, b = tensors.a.to(like.device, torch.float32), tensors.b.to(like.device, torch.float32) * tensors.scaling
    gain = shift = None
    if tensors.magnitude is not None:
        gain = tensors.magnitude.to(like.device, torch.float32) / _norms(module, a, b, like)
        bias = getattr(module, "bias", None)
        shift = (torch.zeros_like(gain) if bias is None else (1 - gain) * bias.float()).to(like.dtype)
        b, gain = b * gain[:, None], gain.to(like.dtype)
    return LayerWeights(a.to(like.dtype).contiguous(), b.T.to(like.dtype).contiguous(), gain, shift)


class AdaptedLinear:
    """Takes over `module.forward`. `module` has in_features and out_features, and returns a tensor of its own.

    `module.adaptation(x, y, column)` changes y in place, for modules that are computed otherwise than by `forward`;
    it is None while no row of the batch has an adapter here.
    """

    def __init__(self, module: Any) -> None:
        self._forward: Callable[[torch.Tensor], torch.Tensor] = module.forward
        self._module = module
        self._weights: dict[str, LayerWeights] = {}
        module.forward = self.forward
        module.adaptation = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (..., i), whose rows are those of the spans. Returns (..., o)."""
        y = self._forward(x)
        if self._module.adaptation is not None:
            self._module.adaptation(x, y)
        return y

    def put(self, name: str, weights: LayerWeights | None) -> None:
        """Take these weights for the adapter `name`; None: it leaves this layer alone. `begin` must follow."""
        self._weights.pop(name, None)
        if weights is not None:
            self._weights[name] = weights
        self._module.adaptation = None

    def begin(self, names: Sequence[str | None], lengths: Sequence[int]) -> None:
        """Who has how many rows of the next pass, in order."""
        spans = [
            _Span(first, stop, self._weights[name])
            for name, (first, stop) in zip(names, pairwise(accumulate(lengths, initial=0)), strict=True)
            if name is not None and name in self._weights
        ]
        self._module.adaptation = _Adaptation(spans) if spans else None


@dataclass(frozen=True, slots=True)
class _Span:
    """Rows of one adapter."""

    first: int
    stop: int
    weights: LayerWeights


class _Adaptation:
    """Of one pass."""

    def __init__(self, spans: list[_Span]) -> None:
        like = spans[0].weights.a
        has_kernel = like.is_cpu and like.dtype == torch.float32
        self._few = [(s, *_arrays_of(s.weights)) for s in spans if has_kernel and s.stop - s.first < _MANY]
        self._many = [s for s in spans if not has_kernel or s.stop - s.first >= _MANY]

    def __call__(self, x: torch.Tensor, y: torch.Tensor, column: int = 0) -> None:
        """x: (..., i); y: (..., at least o), whose columns from `column` on are this layer's output."""
        xs, ys = x.reshape(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        if self._few:
            rows, into = xs.contiguous().numpy(), ys.numpy()
            for span, a, b, gain, shift in self._few:
                adapt(rows, span.first, span.stop, a, b, gain, shift, into, column)
        for span in self._many:
            weights = span.weights
            own = ys[span.first : span.stop, column : column + weights.b.shape[1]]
            if weights.gain is not None and weights.shift is not None:
                own.mul_(weights.gain).add_(weights.shift)
            own.addmm_(xs[span.first : span.stop].mm(weights.a.T), weights.b)


def _arrays_of(weights: LayerWeights) -> tuple[Any, Any, Any, Any]:
    gain, shift = (_NONE if part is None else part.numpy() for part in (weights.gain, weights.shift))
    return weights.a.numpy(), weights.b.numpy(), gain, shift


def _norms(module: Any, a: torch.Tensor, b: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """|W + B A| of each output (o,) fp32; a: (r, i), b: (o, r) with the scaling in it.

    A weight that is not stored plainly (quantised, repacked) is what the module answers to unit vectors.
    """
    weight: Any = getattr(module, "weight", None)
    inputs, outputs = module.in_features, module.out_features
    is_plain = isinstance(weight, torch.Tensor) and weight.dtype == like.dtype and weight.shape == (outputs, inputs)
    bias, squares = getattr(module, "bias", None), torch.zeros(outputs, device=like.device)
    try:
        if bias is not None and not is_plain:
            module.bias = None  # in half precision a large bias would swallow the weight beside it
        for start in range(0, inputs, _COLUMNS):
            span = slice(start, min(start + _COLUMNS, inputs))
            if is_plain:
                part = weight[:, span].float()
            else:
                units = like.new_zeros(span.stop - start, inputs)
                units[:, span].fill_diagonal_(1)
                part = module(units).float().T
            squares += (part + b @ a[:, span]).square().sum(dim=1)
    finally:
        if bias is not None and not is_plain:
            module.bias = bias
    return squares.sqrt()
