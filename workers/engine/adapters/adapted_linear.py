"""One linear layer of the base model, and what adapters change of its output for their own rows.

LoRA:  y = W x + c + s B A x
DoRA:  y = g (W x + s B A x) + c,   g = magnitude / |W + s B A|, one number for each output

as PEFT computes them, with c the layer's bias. Everything that does not depend on x is folded in at load: B holds
s (and g), `shift` is c - g c. The module stays where it is in the model; only its `forward` is replaced, once,
which costs a tenth of a microsecond while no row of a batch has an adapter here.

Shapes: n rows of all sequences, i inputs, o outputs, r rank padded with zeros to a multiple of 16 (MKL is half as
fast at 8), k spans of m rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad

from workers.engine.adapters.adapter_files import LoraTensors

_RANK_STEP = 16
_MOST_STACKED = 8  # spans whose weights are copied side by side
_COLUMNS = 512  # of the weight at once while its norms are computed


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """Of one adapter in one layer, ready to use."""

    a: torch.Tensor  # (i, r)
    b: torch.Tensor  # (r, o)
    gain: torch.Tensor | None  # (o,); None: LoRA
    shift: torch.Tensor | None  # (o,); None: LoRA, or a layer without bias

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
        shift = None if bias is None else ((1 - gain) * bias.float()).to(like.dtype)
        b, gain = b * gain[:, None], gain.to(like.dtype)
    padding = -len(a) % _RANK_STEP
    padded_a = pad(a.T, (0, padding)).to(like.dtype).contiguous()
    padded_b = pad(b.T, (0, 0, 0, padding)).to(like.dtype).contiguous()
    return LayerWeights(padded_a, padded_b, gain, shift)


class AdaptedLinear:
    """Takes over `module.forward`. `module` has in_features and out_features, and returns a tensor of its own."""

    def __init__(self, module: Any) -> None:
        self._forward: Callable[[torch.Tensor], torch.Tensor] = module.forward
        self._weights: dict[str, LayerWeights] = {}
        self._change: Callable[[torch.Tensor, torch.Tensor], None] | None = None
        self._stacked: tuple[tuple[str | None, ...], _Stack] | None = None
        module.forward = self.forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (..., i), whose rows are those of the spans. Returns (..., o)."""
        y = self._forward(x)
        if self._change is not None:
            self._change(x, y)
        return y

    def put(self, name: str, weights: LayerWeights | None) -> None:
        """Take these weights for the adapter `name`; None: it leaves this layer alone. `begin` must follow."""
        self._weights.pop(name, None)
        if weights is not None:
            self._weights[name] = weights
        self._change = self._stacked = None

    def begin(self, names: Sequence[str | None], lengths: Sequence[int], *, is_lasting: bool) -> None:
        """Who has how many rows of the next pass, in order. `is_lasting`: as in the last one, so that it pays to copy
        weights side by side."""
        used = [place for place, name in enumerate(names) if name in self._weights]
        if not used:
            self._change = None
            return
        first, stop, rows = used[0], used[-1] + 1, sum(lengths)
        if 1 < stop - first <= _MOST_STACKED and len(set(lengths[first:stop])) == 1:
            own = tuple(name if name in self._weights else None for name in names[first:stop])
            if is_lasting and (self._stacked is None or self._stacked[0] != own):
                self._stacked = own, _stack_of([None if name is None else self._weights[name] for name in own])
            if self._stacked is not None and self._stacked[0] == own:
                self._change = _Equal(self._stacked[1], sum(lengths[:first]), lengths[first], rows).change
                return
        parts = [(place, self._weights[name]) for place in used if (name := names[place]) is not None]
        self._change = _Uneven(parts, list(lengths), rows).change


class _Uneven:
    """Spans of any length: two small products for each, over views."""

    def __init__(self, parts: list[tuple[int, LayerWeights]], lengths: list[int], rows: int) -> None:
        self._parts = parts
        self._lengths = lengths
        self._rows = rows

    def change(self, x: torch.Tensor, y: torch.Tensor) -> None:
        xs = torch.split_with_sizes(x.reshape(self._rows, x.shape[-1]), self._lengths)
        ys = torch.split_with_sizes(y.view(self._rows, y.shape[-1]), self._lengths)
        for place, weights in self._parts:
            own = ys[place]
            if weights.gain is not None:
                own.mul_(weights.gain)
                if weights.shift is not None:
                    own.add_(weights.shift)
            own.addmm_(xs[place].mm(weights.a), weights.b)


@dataclass(frozen=True, slots=True)
class _Stack:
    a: torch.Tensor  # (k, i, r)
    b: torch.Tensor  # (k, r, o)
    gain: torch.Tensor | None  # (k, 1, o)
    shift: torch.Tensor | None  # (k, 1, o)


class _Equal:
    """Spans of one length beside one another: two batched products instead of two for each."""

    def __init__(self, stack: _Stack, first: int, length: int, rows: int) -> None:
        k, i, _ = stack.a.shape
        self._stack = stack
        self._rows = rows
        self._window = None if k * length == rows else (first, k * length)
        self._shape_x, self._shape_y = (k, length, i), (k, length, stack.b.shape[2])

    def change(self, x: torch.Tensor, y: torch.Tensor) -> None:
        if self._window is not None:
            x = x.reshape(self._rows, x.shape[-1]).narrow(0, *self._window)
            y = y.view(self._rows, y.shape[-1]).narrow(0, *self._window)
        stack, own = self._stack, y.view(self._shape_y)
        if stack.gain is not None:
            own.mul_(stack.gain)
            if stack.shift is not None:
                own.add_(stack.shift)
        own.baddbmm_(torch.bmm(x.reshape(self._shape_x), stack.a), stack.b)


def _stack_of(layers: list[LayerWeights | None]) -> _Stack:
    """Side by side, each padded to the greatest rank; what changes nothing for spans without an adapter here."""
    used = [weights for weights in layers if weights is not None]
    like, rank = used[0].a, max(weights.a.shape[1] for weights in used)
    (i, _), (_, o) = used[0].a.shape, used[0].b.shape
    no_a, no_b, no_gain, no_shift = (
        like.new_zeros(i, rank),
        like.new_zeros(rank, o),
        like.new_ones(o),
        like.new_zeros(o),
    )
    a = [no_a if w is None else pad(w.a, (0, rank - w.a.shape[1])) for w in layers]
    b = [no_b if w is None else pad(w.b, (0, 0, 0, rank - w.b.shape[0])) for w in layers]
    gains = [no_gain if w is None or w.gain is None else w.gain for w in layers]
    shifts = [no_shift if w is None or w.shift is None else w.shift for w in layers]
    return _Stack(
        torch.stack(a),
        torch.stack(b),
        torch.stack(gains)[:, None] if any(w.gain is not None for w in used) else None,
        torch.stack(shifts)[:, None] if any(w.shift is not None for w in used) else None,
    )


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
