"""What a language model learns to see with: LoRA (arXiv:2106.09685) beside its linear layers, and the rows of the
tokens that it was given for it. Its own weights stay as they were, so without the adapter it speaks as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel

from training.config import LoraShape
from vision.decoder import decoder_linears


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


def learn_adapter_alone(language: PreTrainedModel, ordinary: int) -> None:
    """Let training change nothing but the adapter and the rows of tokens from `ordinary` on. Mutates the model."""
    rows: Any = language.get_input_embeddings().weight  # type: ignore[no-untyped-call]  # transformers

    def keep_ordinary(weight: torch.Tensor) -> None:
        assert weight.grad is not None
        weight.grad[:ordinary] = 0

    for name, weights in language.named_parameters():
        weights.requires_grad_("lora_" in name or weights is rows)
    rows.register_post_accumulate_grad_hook(keep_ordinary)


def merge_adapter(language: PreTrainedModel) -> None:
    """Add the adapter to the layers it stands beside, and take it away. Mutates the model."""
    found = [(name, module) for name, module in language.named_modules() if isinstance(module, LoraLayer)]
    for name, layer in found:
        layer.merge()  # type: ignore[attr-defined]  # every kind of layer has it
        language.set_submodule(name, layer.get_base_layer())
