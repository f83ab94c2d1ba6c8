"""Modules that stand for a model's own give what it gives."""

from __future__ import annotations

import pytest
import torch

from tests.tiny_models import FAMILIES, VOCABULARY, tiny_model
from workers.engine import packed_linear
from workers.engine.fused_norm import FusedNorm, fuse_norms
from workers.engine.packed_linear import PackedLinear, pack


@torch.inference_mode()
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_with_replaced_modules_gives_the_same_logits(family: str) -> None:
    model, tokens = tiny_model(family), torch.randint(5, VOCABULARY, (3, 17))
    expected = model(tokens).logits

    pack(model)
    fused = fuse_norms(model)

    assert sum(isinstance(module, PackedLinear) for module in model.modules()) > 10
    assert sum(isinstance(module, FusedNorm) for module in model.modules()) == fused
    assert (fused > 0) == (family not in ("GPTNeoX", "Gemma2", "Gemma3"))
    torch.testing.assert_close(model(tokens).logits, expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("rows", [1, 3, 4, 65])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_layer_is_the_layer(dtype: torch.dtype, tolerance: float, rows: int, bias: bool) -> None:
    torch.manual_seed(rows)
    linear = torch.nn.Linear(48, 36, bias=bias, dtype=dtype)
    x = torch.randn(1, rows, 48).to(dtype)

    torch.testing.assert_close(PackedLinear(linear)(x), linear(x), atol=tolerance, rtol=tolerance)


def test_half_precision_and_foreign_layers_stay_as_they_are() -> None:
    class Special(torch.nn.Linear):
        pass

    model = torch.nn.Sequential(torch.nn.Linear(4, 4, dtype=torch.float16), Special(4, 4))
    pack(model)

    assert not any(isinstance(module, PackedLinear) for module in model.modules())


def test_large_models_are_packed_where_that_takes_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_linear, "_MOST_BYTES", 0)
    full, half = torch.nn.Sequential(torch.nn.Linear(4, 4)), torch.nn.Sequential(torch.nn.Linear(4, 4).bfloat16())
    pack(full)
    pack(half)

    assert not isinstance(full[0], PackedLinear)
    assert isinstance(half[0], PackedLinear)
    assert not list(half.parameters())[1:]  # the bias; its weights exist once, as they are read
