"""Modules that stand for a model's own give what it gives; what would not is left alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from tests.tiny_models import FAMILIES, GROUPED, VOCABULARY, tiny_model
from workers.engine import packed_linear
from workers.engine.faster_modules import replace_modules
from workers.engine.fused_layer import fuse_layers
from workers.engine.fused_norm import FusedNorm, fuse_norms
from workers.engine.model_runner import ModelRunner
from workers.engine.packed_linear import PackedLinear, pack
from workers.engine.scheduler import Piece

FUSED = {"Llama", "Qwen2"}  # the others' layers have more in them


@torch.inference_mode()
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_with_replaced_modules_gives_the_same_logits(family: str) -> None:
    """One prompt is read whole, another is read up to its last token, which is a step of its own."""
    model, tokens = tiny_model(family), torch.randint(5, VOCABULARY, (2, 17))
    expected = model(tokens).logits[:, -1]

    runner = ModelRunner(model, 4)
    replace_modules(runner)
    whole = runner.forward([Piece("whole", 0, 17, [0], is_last=True)], [tokens[0].tolist()])
    runner.forward([Piece("steps", 0, 16, [1], is_last=False)], [tokens[1, :16].tolist()])
    step = runner.forward([Piece("steps", 16, 17, [1], is_last=True)], [tokens[1, 16:].tolist()])

    assert sum(isinstance(module, PackedLinear) for module in model.modules()) > 10
    torch.testing.assert_close(torch.cat([whole, step]), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_norms_and_layers_are_replaced_where_they_can_be(family: str) -> None:
    runner = ModelRunner(tiny_model(family), 2)

    norms = fuse_norms(runner.model)
    layers = fuse_layers(runner.model, runner.cache)

    assert sum(isinstance(module, FusedNorm) for module in runner.model.modules()) == norms
    assert (norms > 0) == (family not in ("GPTNeoX", "Gemma2", "Gemma3"))
    assert layers == (runner.model.config.num_hidden_layers if family in FUSED else 0)


@pytest.mark.parametrize(
    ("config", "model"),
    [
        (
            transformers.HeliumConfig(**GROUPED, head_dim=12),
            transformers.HeliumForCausalLM,
        ),  # turns pairs of neighbours
        (transformers.GraniteConfig(**GROUPED, residual_multiplier=0.5), transformers.GraniteForCausalLM),
        (transformers.LlamaConfig(**GROUPED, hidden_act="gelu"), transformers.LlamaForCausalLM),
    ],
    ids=["other rotation", "other sum", "other activation"],
)
def test_a_layer_that_looks_like_ours_and_computes_otherwise_is_left_alone(config: Any, model: Any) -> None:
    runner = ModelRunner(model(config).eval(), 2)

    assert fuse_norms(runner.model) > 0
    assert fuse_layers(runner.model, runner.cache) == 0


@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 65])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_layer_is_the_layer(dtype: torch.dtype, tolerance: float, rows: int, bias: bool) -> None:
    torch.manual_seed(rows)
    linear = torch.nn.Linear(48, 36, bias=bias, dtype=dtype)
    x, other = torch.randn(1, rows, 48).to(dtype), torch.randn(1, rows, 36).to(dtype)
    expected, packed = linear(x), PackedLinear(linear)

    torch.testing.assert_close(packed(x), expected, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(packed.silu(x), torch.nn.functional.silu(expected), atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(packed.times(x, other), expected * other, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(packed.plus(x, other), expected + other, atol=tolerance, rtol=tolerance)


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
