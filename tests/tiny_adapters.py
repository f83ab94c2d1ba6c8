"""Random adapters in PEFT's format, for the models of tiny_models.py; and a base with one merged in, as a slow twin."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

BASE_DIGEST = "ba5e" * 16


def save_tiny_adapter(
    directory: Path,
    model: PreTrainedModel,
    targets: Sequence[str],
    *,
    rank: int = 4,
    use_dora: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    numerics: str = "none",
    base_digest: str = BASE_DIGEST,
    **config: Any,
) -> Path:
    """A directory as training writes it. `config`: what else adapter_config.json says."""
    random = torch.Generator().manual_seed(seed)
    ranks: dict[str, int] = config.get("rank_pattern", {})
    tensors: dict[str, torch.Tensor] = {}
    for name, module in targeted(model, targets).items():
        r = next((value for end, value in ranks.items() if ends_with(name, end)), rank)
        tensors[f"{name}.lora_A.weight"] = torch.randn(r, module.in_features, generator=random) / 4
        tensors[f"{name}.lora_B.weight"] = torch.randn(module.out_features, r, generator=random) / 4
        if use_dora:
            tensors[f"{name}.lora_magnitude_vector"] = torch.rand(module.out_features, generator=random) + 0.5
    directory.mkdir(parents=True, exist_ok=True)
    save_file(
        {f"base_model.model.{name}": tensor.to(dtype) for name, tensor in tensors.items()},
        directory / "adapter_model.safetensors",
    )
    said = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 8,
        "bias": "none",
        "target_modules": list(targets),
        "use_dora": use_dora,
        "base_model_name_or_path": None,
        "auto_mapping": None,
    }
    (directory / "adapter_config.json").write_text(json.dumps(said | config))
    (directory / "nunmal.json").write_text(json.dumps({"base_digest": base_digest, "numerics": numerics}))
    return directory


@torch.no_grad()
def merge(model: PreTrainedModel, directory: Path) -> PreTrainedModel:
    """Write the adapter into the model's weights, as the papers say (arXiv:2106.09685, 2312.03732, 2402.09353)."""
    config = json.loads((directory / "adapter_config.json").read_text())
    tensors = load_file(directory / "adapter_model.safetensors")
    for name, module in targeted(model, config["target_modules"]).items():
        a, b = (tensors[f"base_model.model.{name}.lora_{letter}.weight"].float() for letter in "AB")
        alphas = config.get("alpha_pattern", {})
        alpha = next((value for end, value in alphas.items() if ends_with(name, end)), config["lora_alpha"])
        weight = module.weight + alpha / (math.sqrt(len(a)) if config.get("use_rslora") else len(a)) * b @ a
        if config["use_dora"]:
            weight *= (tensors[f"base_model.model.{name}.lora_magnitude_vector"] / weight.norm(dim=1))[:, None]
        module.weight.copy_(weight)
    return model


def targeted(model: PreTrainedModel, targets: Sequence[str]) -> dict[str, Any]:
    return {
        name: module for name, module in model.named_modules() if any(ends_with(name, target) for target in targets)
    }


def ends_with(name: str, end: str) -> bool:
    return f".{name}".endswith(f".{end}")
