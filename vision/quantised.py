"""Weights in 4 or 8 bits: bitsandbytes through transformers, quantised while a model of full weights is read.

    nf4   4 bits in blocks of 64 (QLoRA, arXiv:2305.14314); the sums are made in the model's dtype
    int8  8 bits a row, the activations too (LLM.int8(), arXiv:2208.07339)

Workers serve such weights and training learns beside them, so both take them from here; this room is the lowest that
holds tensors. An adapter fits the weights it was trained on, so a model's digest says how they are kept
(shared/model_digest.py).
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import logging
from typing import Any

import torch
from transformers import BitsAndBytesConfig, PreTrainedModel

from shared.errors import ConfigError

_PACKAGES = ("bitsandbytes", "accelerate")
_CPU_ROWS = 32  # what the CPU's packed kernel takes: outputs in multiples of this, inputs in multiples of a block


def quantisation(kind: str, dtype: torch.dtype) -> Any:
    """The `quantization_config` of `from_pretrained` for "nf4" or "int8". Raises ConfigError if this machine cannot."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"{kind} weights need {' and '.join(missing)}: pip install {' '.join(missing)}")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of every product it rounds
    config: Any = BitsAndBytesConfig  # untyped
    if kind == "nf4":
        return config(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    # The paper keeps columns with values above a threshold in full precision, those of any row in the batch: what a
    # request gets would depend on its neighbours. With 0 no column is kept, and every row is computed alone.
    return config(load_in_8bit=True, llm_int8_threshold=0.0)


def fit_to_cpu(model: torch.nn.Module, *, is_trained: bool = False) -> None:
    """Mend what bitsandbytes 0.50 does with 4-bit weights on a CPU. Changes the layers of `model`.

    With AVX512-BF16 it packs them, and fails on shapes that do not fit its tiles: such layers unpack their weights for
    each pass instead. The others compute in bfloat16, row for row the same. And it reads scales as if every row began
    a block, though blocks are written through the whole matrix in order: where rows end within a block, the weights
    are unpacked as a single row. Packed weights have no backward pass either: `is_trained` packs none."""
    for module in model.modules():
        if type(module).__name__ != "Linear4bit":
            continue
        layer: Any = module
        has_whole_blocks = layer.in_features % layer.weight.blocksize == 0
        fits = layer.out_features % _CPU_ROWS == 0 and has_whole_blocks and not is_trained
        layer.support_avx512bf16_for_cpu = layer.support_avx512bf16_for_cpu and fits
        if layer.weight.device.type == "cpu" and not has_whole_blocks:
            layer.forward = functools.partial(_pass_as_one_row, layer)


def _pass_as_one_row(layer: Any, inputs: torch.Tensor) -> torch.Tensor:
    """(..., inputs) -> (..., outputs) in the dtype of what comes in."""
    from bitsandbytes.functional import dequantize_4bit

    state = copy.copy(layer.weight.quant_state)
    shape, state.shape = state.shape, torch.Size((1, state.shape.numel()))
    dtype = layer.compute_dtype or inputs.dtype
    weight = dequantize_4bit(layer.weight.data, state).view(shape).to(dtype)
    bias = None if layer.bias is None else layer.bias.to(dtype)
    return torch.nn.functional.linear(inputs.to(dtype), weight, bias).to(inputs.dtype)


def numerics_of(model: PreTrainedModel) -> str:
    """How its weights are kept: "none", "nf4", "int8", or what the files themselves say they are."""
    own: Any = getattr(model.config, "quantization_config", None)
    if own is None:
        return "none"
    if getattr(own, "load_in_8bit", False):
        return "int8"
    return str(own.bnb_4bit_quant_type) if getattr(own, "load_in_4bit", False) else str(own.quant_method)
