"""LoftQ (arXiv:2310.08659): quantised weights Q and a first adapter B A, chosen in turns so that Q + s B A is near W.

    Q <- quantise(W - s B A);   s B A <- the best matrix of rank r for W - Q

PEFT's own routes want a GPU and leave the scaling s out (peft #1982), so that with alpha / r = 2 the model begins
elsewhere than it should. Here s is in it. After one turn with 4 bits Q is what nf4 makes of the original weights, and
workers that serve the base in nf4 serve the adapter. Otherwise Q is a base of its own: it is saved in float32, on the
grid of its bits, and nf4 finds the very same values again when it is loaded.

Letters: o outputs, i inputs of a linear layer, r rank. What is not targeted is quantised in 4 bits by whoever loads the
base in nf4, and left alone with 2 and 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from bitsandbytes import functional as bits_and_bytes

BLOCK = 64  # weights that share a scale, as in nf4
_TAIL = 0.9677083  # quantile of the largest level, which QLoRA's authors chose


@dataclass(frozen=True, slots=True)
class Start:
    """Of one linear layer, float32."""

    quantised: torch.Tensor  # (o, i): the values Q
    a: torch.Tensor  # (r, i)
    b: torch.Tensor  # (o, r)


@torch.no_grad()
def start(weight: torch.Tensor, *, bits: int, rank: int, iterations: int, scaling: float) -> Start:
    """Choose Q, A and B for one weight (o, i). Deterministic: the decomposition is exact, nothing is drawn."""
    full = weight.detach().float()
    quantised, product = full, torch.zeros_like(full)
    a = b = full
    for _ in range(iterations):
        quantised = on_grid(full - product, bits)
        left, sizes, right = torch.linalg.svd(full - quantised, full_matrices=False)
        roots = (sizes[:rank] / scaling).sqrt()
        a, b = roots[:, None] * right[:rank], left[:, :rank] * roots
        product = scaling * (b @ a)
    return Start(quantised, a.contiguous(), b.contiguous())


def on_grid(weight: torch.Tensor, bits: int) -> torch.Tensor:
    """The nearest values that `bits` bits and a scale for every 64 weights can say, in float32; the same shape."""
    if bits == 4:  # by the code that serves nf4, so that not a single value differs
        # As one row: on a CPU, bitsandbytes 0.50 reads blocks row by row but writes them without minding rows, so where
        # inputs are no multiple of a block it would give other values.
        row = weight.reshape(1, -1)
        codes, state = bits_and_bytes.quantize_4bit(row, blocksize=BLOCK, quant_type="nf4")
        return bits_and_bytes.dequantize_4bit(codes, state).reshape(weight.shape).float()
    levels = normal_levels(bits).to(weight.device)
    flat = torch.nn.functional.pad(weight.flatten(), (0, -weight.numel() % BLOCK)).view(-1, BLOCK)
    scales = flat.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    nearest = torch.bucketize(flat / scales, (levels[1:] + levels[:-1]) / 2)
    return (levels[nearest] * scales).flatten()[: weight.numel()].view(weight.shape)


def normal_levels(bits: int) -> torch.Tensor:
    """2**bits levels between -1 and 1 (QLoRA, appendix E): as many normal weights near each, and one is 0."""
    half = 2 ** (bits - 1)
    above = torch.special.ndtri(torch.linspace(_TAIL, 0.5, half + 1, dtype=torch.float64))[:-1]
    below = torch.special.ndtri(torch.linspace(_TAIL, 0.5, half, dtype=torch.float64))[:-1]
    levels = torch.cat((-below, torch.zeros(1, dtype=torch.float64), above)).sort().values
    return (levels / levels.abs().max()).float()


def move(
    linears: Iterable[tuple[str, Any]], *, bits: int, rank: int, iterations: int, scaling: float
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Write Q into the weight of every layer (name, torch.nn.Linear). Returns: the first A and B of each."""
    first = {}
    for name, linear in linears:
        chosen = start(linear.weight, bits=bits, rank=rank, iterations=iterations, scaling=scaling)
        first[name] = chosen.a, chosen.b
        with torch.no_grad():
            linear.weight.copy_(chosen.quantised)
    return first
