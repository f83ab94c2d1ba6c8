"""A decoder layer of Llama's kind in a dozen operations instead of fifty.

With few rows a step's time is mostly the starting of operations: a layer spells out its rotation in sixteen, and
makes three products where one would do. Many families have Llama's layer under other names, and nothing tells which:
a layer is replaced only if it gives what ours gives for arbitrary inputs and angles.

Shapes: T tokens, n width, d head dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from workers.engine.fused_norm import FusedNorm
from workers.engine.packed_linear import PackedLinear, is_packable, may_pack
from workers.engine.paged_attention import Heads, PagedCache, Rule
from workers.engine.scheduler import Piece

_PROJECTIONS = {"self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"), "mlp": ("gate_proj", "up_proj", "down_proj")}
_NORMS = ("input_layernorm", "post_attention_layernorm")
_TOLERANCE = 1e-4  # of values near 1


class FusedLayer:
    """Takes over `layer.forward`. Its projections keep their names, for adapters to find."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        parts = attention.q_proj, attention.k_proj, attention.v_proj
        queries, keys, values = (part.out_features for part in parts)
        self._layer = layer
        self._index = int(attention.layer_idx)
        self._heads = Heads(queries // attention.head_dim, keys // attention.head_dim, float(attention.scaling))
        self._before_attention, self._before_mlp = (getattr(layer, name) for name in _NORMS)
        self._qkv = PackedLinear(_joined(parts))
        self._parts = (
            _Part(self._qkv, 0, queries),
            _Part(self._qkv, queries, queries + keys),
            _Part(self._qkv, queries + keys, queries + keys + values),
        )
        self._out = PackedLinear(attention.o_proj)
        self._gate, self._up, self._down = (PackedLinear(getattr(mlp, name)) for name in _PROJECTIONS["mlp"])

    def take_over(self) -> None:
        attention, mlp = self._layer.self_attn, self._layer.mlp
        attention.q_proj, attention.k_proj, attention.v_proj = self._parts
        attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj = self._out, self._gate, self._up, self._down
        self._layer.forward = self.forward

    def forward(
        self,
        hidden_states: torch.Tensor,  # (1, T, n)
        attention_mask: Rule,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],  # cosines and sines (1, T, d)
        past_key_values: PagedCache,
        **_: object,
    ) -> torch.Tensor:
        """Returns (1, T, n)."""
        x = self._before_attention(hidden_states)
        qkv = self._qkv(x)
        for part in self._parts:
            if part.adaptation is not None:
                part.adaptation(x, qkv, part.start)
        attended = past_key_values.attend_rotated(
            self._index, qkv, *position_embeddings, rule=attention_mask, heads=self._heads
        )
        hidden_states = self._out.plus(attended, hidden_states)
        x = self._before_mlp(hidden_states)
        return self._down.plus(self._up.times(x, self._gate.silu(x)), hidden_states)


class _Part(nn.Module):
    """One of the projections that are computed together, as adapters see it."""

    def __init__(self, whole: PackedLinear, start: int, stop: int) -> None:
        super().__init__()
        assert whole.weight is not None  # float32
        self.start, self.stop = start, stop
        self.in_features, self.out_features = whole.in_features, stop - start
        self.weight = whole.weight[start:stop]
        self.bias = None if whole.bias is None else whole.bias[start:stop]
        self.adaptation: Callable[[torch.Tensor, torch.Tensor, int], None] | None = None  # see AdaptedLinear


@torch.inference_mode()
def fuse_layers(model: nn.Module, cache: PagedCache) -> int:
    """Replace those that can be replaced: of float32, on a CPU. After the norms (fused_norm.py); `cache` is the one
    that the model's attention is switched to. Returns their number."""
    layers = [module for module in model.modules() if _looks_alike(module)] if may_pack(model) else []
    count = 0
    for layer in layers:
        fused = FusedLayer(layer)
        if _is_alike(layer, fused, cache):
            fused.take_over()
            count += 1
    return count


def _looks_alike(module: Any) -> bool:
    names = {name for name, _ in module.named_children()}
    if names != {*_PROJECTIONS, *_NORMS} or not all(type(getattr(module, name)) is FusedNorm for name in _NORMS):
        return False
    for name, projections in _PROJECTIONS.items():
        children = dict(module.get_submodule(name).named_children())
        children.pop("act_fn", None)
        if children.keys() != set(projections) or not all(map(_is_full, children.values())):
            return False
    return hasattr(module.self_attn, "head_dim") and hasattr(module.self_attn, "scaling")


def _is_full(module: Any) -> bool:
    return is_packable(module) and module.weight.dtype == torch.float32


def _is_alike(layer: Any, fused: FusedLayer, cache: PagedCache) -> bool:
    """For one sequence of five tokens that begins, and one new token of another."""
    generator = torch.Generator().manual_seed(0)
    pieces = [Piece("read", 0, 5, [0], is_last=True), Piece("decode", 3, 4, [1], is_last=True)]
    hidden = torch.randn((1, 6, layer.self_attn.q_proj.in_features), generator=generator)
    angles = torch.randn((2, 1, 6, layer.self_attn.head_dim), generator=generator)
    given: dict[str, Any] = {
        "attention_mask": Rule(lambda row, head, query, key: key <= query, 0),
        "position_embeddings": (angles[0], angles[1]),
        "past_key_values": cache,
    }
    outputs = []
    for forward in (layer.forward, fused.forward):
        cache.begin(pieces)
        try:
            outputs.append(forward(hidden, **given))
        except (RuntimeError, TypeError, ValueError, AttributeError):  # another family's layer wants other things
            return False
    theirs, ours = outputs
    return isinstance(theirs, torch.Tensor) and torch.allclose(theirs, ours, atol=_TOLERANCE, rtol=_TOLERANCE)


def _joined(parts: Sequence[nn.Linear]) -> nn.Linear:
    """One layer whose outputs are theirs, one after another."""
    weight = torch.cat(tuple(part.weight for part in parts))
    joined = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    joined.weight = nn.Parameter(weight, requires_grad=False)
    if all(part.bias is None for part in parts):
        joined.register_parameter("bias", None)
    else:
        zeros = (weight.new_zeros(part.out_features) for part in parts)
        bias = tuple(zero if part.bias is None else part.bias for part, zero in zip(parts, zeros, strict=True))
        joined.bias = nn.Parameter(torch.cat(bias), requires_grad=False)
    return joined
