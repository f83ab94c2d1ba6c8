"""Attention over rows of different lengths, plugged into unmodified Hugging Face models by name.

A model asks two registries for the implementation named in its config: one builds the mask for a kind of layer
(full, sliding, chunked; the model passes the rule as `mask_function`), the other attends. Ours differ from the
stock ones in one point: every row has its own offset, which the cache hands over as a tensor. So each family's
own mask rules hold without our knowing them.

Shapes: b rows, h heads, q query tokens, k key tokens, d head dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

SLOT_ATTENTION = "nunmal_slots"  # must not contain "sdpa" or "flash": transformers treats those names apart

MaskFunction = Callable[..., torch.Tensor]


def slot_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int | torch.Tensor = 0,
    mask_function: MaskFunction | None = None,
    local_size: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    **_: Any,
) -> torch.Tensor | None:
    """Additive mask (b, 1, q, k): 0 where a query may look, -inf elsewhere; None where plain causal is enough.

    `q_offset` is the position of the first query: one int for all rows, or (b,) when rows differ.
    """
    if isinstance(q_offset, int):
        is_plain = q_length == 1 or q_offset == 0
        if is_plain and kv_length == q_offset + q_length and (local_size is None or kv_length <= local_size):
            return None
        q_offset = torch.full((batch_size,), q_offset, device=device)
    assert mask_function is not None  # every caller in transformers names one
    rows = torch.arange(batch_size, device=device).view(-1, 1, 1, 1)
    queries = q_offset.view(-1, 1, 1, 1) + torch.arange(q_length, device=device).view(1, 1, -1, 1)
    keys = torch.arange(kv_length, device=device).view(1, 1, 1, -1)
    visible = mask_function(rows, torch.zeros_like(rows), queries, keys).expand(batch_size, 1, q_length, kv_length)
    return torch.zeros(visible.shape, dtype=dtype, device=device).masked_fill_(~visible, float("-inf"))


def slot_attention(
    module: torch.nn.Module,
    query: torch.Tensor,  # (b, h, q, d)
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """PyTorch's fused attention; spelled out only for models that cap their scores (Gemma 2)."""
    if softcap is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    groups = query.shape[1] // key.shape[1]
    scores = query @ repeat_kv(key, groups).transpose(2, 3) * (scaling or query.shape[-1] ** -0.5)
    scores = torch.tanh(scores / softcap) * softcap
    if attention_mask is not None:
        scores = scores + attention_mask
    elif query.shape[2] > 1:
        scores = scores + torch.full(scores.shape[-2:], float("-inf"), device=scores.device).triu(1)
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    return (weights @ repeat_kv(value, groups)).transpose(1, 2).contiguous(), None


def register() -> None:
    """Make `SLOT_ATTENTION` known to transformers. Idempotent."""
    AttentionInterface.register(SLOT_ATTENTION, slot_attention)
    AttentionMaskInterface.register(SLOT_ATTENTION, slot_mask)
