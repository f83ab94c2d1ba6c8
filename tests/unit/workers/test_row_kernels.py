"""The compiled loops give what plain tensor operations give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from workers.engine import decode_kernel, row_kernels

CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("width", [1, 7, 64])
def test_products(rows: int, width: int) -> None:
    x, weights, bias, out = random(rows, width), random(13, width), random(13), torch.full((rows, 13), float("nan"))
    row_kernels.multiply(x.numpy(), weights.numpy(), bias.numpy(), out.numpy())

    torch.testing.assert_close(out, x @ weights.T + bias, **CLOSE)


@pytest.mark.parametrize("width", [1, 7, 64])
def test_norms(width: int) -> None:
    x, weights, out = 3 * random(5, width), random(width), torch.empty(5, width)
    row_kernels.normalise(x.numpy(), weights.numpy(), np.float32(1e-6), out.numpy())

    torch.testing.assert_close(out, torch.nn.functional.rms_norm(x, (width,), weights, 1e-6), **CLOSE)


@pytest.mark.parametrize("rank", [1, 4, 6])
@pytest.mark.parametrize("is_dora", [True, False])
def test_adapters_change_their_own_rows_and_columns(rank: int, is_dora: bool) -> None:
    x, y, a, b = random(6, 10), random(6, 20), random(rank, 10), random(rank, 8)
    gain, shift = (random(8), random(8) + 1) if is_dora else (torch.zeros(0), torch.zeros(0))
    expected = y.clone()
    own = expected[2:5, 4:12]
    if is_dora:
        own.mul_(gain).add_(shift)
    own.add_(x[2:5] @ a.T @ b)

    row_kernels.adapt(x.numpy(), 2, 5, a.numpy(), b.numpy(), gain.numpy(), shift.numpy(), y.numpy(), 4)

    torch.testing.assert_close(y, expected, **CLOSE)


def test_rotation_is_llamas_and_everything_is_stored_in_its_slot() -> None:
    heads, kv_heads, dim, tokens = 4, 2, 6, 3
    states, cosines, sines = random(tokens, heads + 2 * kv_heads, dim), random(tokens, dim), random(tokens + 1, dim)[1:]
    first, second = states[..., : dim // 2], states[..., dim // 2 :]
    turned = states * cosines[:, None] + torch.cat([-second, first], dim=-1) * sines[:, None]
    values = states[:, heads + kv_heads :].clone()
    queries, keys, stored = torch.zeros(tokens, heads, dim), torch.zeros(4, kv_heads, 2, dim), torch.zeros(4, 2, 2, dim)

    slots = np.array([5, 0])  # the third token only fills the pass up
    given = [tensor.numpy() for tensor in (states, cosines, sines, queries)]
    decode_kernel.rotate_and_store(given[0], given[1], given[2], given[3], slots, keys.numpy(), stored.numpy())

    torch.testing.assert_close(queries[:2], turned[:2, :heads], **CLOSE)
    torch.testing.assert_close(states[:2, heads : heads + kv_heads], turned[:2, heads : heads + kv_heads], **CLOSE)
    torch.testing.assert_close(keys[[2, 0], :, [1, 0]], turned[:2, heads : heads + kv_heads], **CLOSE)
    torch.testing.assert_close(stored[[2, 0], :, [1, 0]], values[:2], **CLOSE)
    assert queries[2].eq(0).all()
    assert (keys != 0).sum() == 2 * kv_heads * dim
