"""What a language model learns to see with: LoRA (arXiv:2106.09685) beside its linear layers, and the rows of the
tokens that it was given for it. Its own weights stay as they were, so without the adapter it speaks as before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from transformers import AutoTokenizer, PreTrainedModel

from shared.adapters.folder import CONFIG, ORIGIN, WEIGHTS
from training.config import LoraShape
from vision.decoder import TOKENS_FROM, decoder_linears, eyes_tokens_from


def add_adapter(language: PreTrainedModel, shape: LoraShape) -> None:
    """Put an adapter that changes nothing yet into the model. Mutates it. Raises: as `adapted_layers`."""
    options: dict[str, Any] = {"r": shape.r, "lora_alpha": shape.alpha, "lora_dropout": shape.dropout}
    inject_adapter_in_model(LoraConfig(target_modules=adapted_layers(language, shape.targets), **options), language)


def adapted_layers(model: PreTrainedModel, targets: Sequence[str]) -> list[str]:
    """Full names of the language model's linear layers that are called so; of all, if none is named.

    Short names would also find layers of the vision tower. Raises: ValueError: nothing is called so."""
    found = list(decoder_linears(model))
    known = {name.rpartition(".")[2] for name in found}
    if unknown := set(targets) - known:
        raise ValueError(f"no layer is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return [name for name in found if not targets or name.rpartition(".")[2] in targets]


def ordinary_tokens(folder: Path) -> int:
    """How many tokens a published model talks with: all, but for those that are for its EYES_ADAPTER alone."""
    own = eyes_tokens_from(folder)
    return len(AutoTokenizer.from_pretrained(folder)) if own is None else own


def learn_adapter_alone(language: PreTrainedModel, ordinary: int, untaught: Sequence[int] = ()) -> None:
    """Let training change nothing but the adapter, the rows of tokens from `ordinary` on, and of those in `untaught`.
    Mutates the model."""
    rows: Any = language.get_input_embeddings().weight
    kept = torch.tensor([token for token in range(ordinary) if token not in set(untaught)])

    def keep_ordinary(weight: torch.Tensor) -> None:
        assert weight.grad is not None
        weight.grad[kept] = 0

    for name, weights in language.named_parameters():
        weights.requires_grad_("lora_" in name or weights is rows)
    rows.register_post_accumulate_grad_hook(keep_ordinary)


def take_adapter(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Take the adapter out of a model whose language model has one. Returns its tensors (bfloat16) by PEFT's names;
    none if there was none. Mutates the model."""
    tensors: dict[str, torch.Tensor] = {}
    found: list[tuple[str, Any]] = [each for each in model.named_modules() if isinstance(each[1], LoraLayer)]
    for name, layer in found:
        for part, values in layer.state_dict().items():
            if "lora_" in part:
                tensors[f"base_model.model.{name}.{part.replace('.default', '')}"] = values.bfloat16().contiguous()
        model.set_submodule(name, layer.get_base_layer())
    return tensors


def save_adapter(
    tensors: dict[str, torch.Tensor], shape: LoraShape, base_digest: str, ordinary: int, folder: Path
) -> None:
    """Write a folder as PEFT does, what the adapter belongs to (shared/adapters/folder.py), and that tokens from
    `ordinary` on are its own."""
    folder.mkdir()
    save_file(tensors, folder / WEIGHTS)
    names = sorted({name.removeprefix("base_model.model.").partition(".lora_")[0] for name in tensors})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": shape.r,
        "lora_alpha": shape.alpha,
        "lora_dropout": shape.dropout,
        "bias": "none",
        "target_modules": names,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    origin = {"base_digest": base_digest, "numerics": "none", TOKENS_FROM: ordinary}
    (folder / ORIGIN).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
