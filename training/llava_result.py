"""Publish a joined model: a standard folder that plain transformers reloads without any difference, and a manifest that
says where it came from. The folder appears whole or not at all."""

from __future__ import annotations

import json
import shutil
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration

from training.config import LlavaRecipe
from training.export import MANIFEST, digest, publish, round_weights, sha256
from training.llava_parts import Parts


def publish_model(
    recipe: LlavaRecipe,
    parts: Parts,
    model: Any,  # a LlavaForConditionalGeneration
    probe: dict[str, torch.Tensor],
    facts: dict[str, Any],
) -> None:
    """`probe`: a batch that the model reads before and after. Moves `model` to the CPU. Raises: ValueError: the
    reloaded model says something else; nothing is published then."""
    dtype = getattr(torch, recipe.dtype)
    folder = recipe.publish_dir.with_name(recipe.publish_dir.name + ".new")
    shutil.rmtree(folder, ignore_errors=True)
    model.to("cpu").eval()
    round_weights(model, dtype)
    model.save_pretrained(folder)
    parts.processor.save_pretrained(folder)
    parts.image_processor.save_pretrained(folder)  # preprocessor_config.json: what serving opens
    said = _logits(model, probe)
    reloaded: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=dtype, local_files_only=True)
    difference = float((said - _logits(reloaded.eval(), probe)).abs().max())
    if difference:
        raise ValueError(f"the model in {folder} differs from the trained one by {difference:.3g} when it is reloaded")
    told = facts | {
        "digest": digest(folder),
        "files": {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST},
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "reload_difference": difference,
    }
    (folder / MANIFEST).write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    publish(folder, recipe.publish_dir, told)


@torch.inference_mode()
def _logits(model: Any, probe: dict[str, torch.Tensor]) -> torch.Tensor:
    batch: dict[str, Any] = {
        name: value.to(model.dtype) if value.is_floating_point() else value
        for name, value in probe.items()
        if name != "labels"
    }
    logits: torch.Tensor = model(**batch).logits
    return logits.float()
