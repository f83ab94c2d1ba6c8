"""What a stage leaves: an adapter that workers load, or a whole model; a manifest beside it says where it came from.

    adapter_config.json, adapter_model.safetensors, nunmal.json    of an adapter (workers/engine/adapters reads them)
    a folder in transformers' format with manifest.json            of methods full and extend

An adapter names its base by digest and numerics, never by a path. LoftQ's can be written as the difference from its
first adapter: B A - B0 A0 has rank 2r and belongs to the original base. What that costs is measured, not assumed: the
original base is not exactly Q + B0 A0 (run.py puts the losses into the manifest).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file, save_file

from shared.model_digest import file_digest, files_digest
from training.tune.bases import ADAPTER, Base
from training.tune.recipe import Data, Extend, Loftq, TuneRecipe
from training.tune.rows import located
from training.tune.weights import save_model

CONFIG, WEIGHTS, ADAPTER_MANIFEST, MODEL_MANIFEST = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "nunmal.json",
    "manifest.json",
)
_VERSIONS = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes")


def write_weights(
    model: Any, tensors: Mapping[str, torch.Tensor], tokenizer: Any, recipe: TuneRecipe, folder: Path
) -> None:
    """What was learned, into a fresh folder; no manifest yet. `tensors` are the model's, whole. Numbers are float32."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if recipe.method.makes_model:
        if isinstance(recipe.method, Extend):
            save_model(model.merge_and_unload(), tokenizer, recipe.base, folder)
        else:
            save_model(model, tokenizer, recipe.base, folder, tensors)
        return
    learned = peft.get_peft_model_state_dict(model, state_dict=tensors, adapter_name=ADAPTER)
    save_file({name: tensor.detach().float().cpu().contiguous() for name, tensor in learned.items()}, folder / WEIGHTS)
    config = model.peft_config[ADAPTER].to_dict()
    said = {key: value for key, value in config.items() if key not in ("runtime_config", "auto_mapping")}
    for key in ("target_modules", "exclude_modules"):
        if isinstance(said.get(key), set):
            said[key] = sorted(said[key])
    said |= {"base_model_name_or_path": None, "inference_mode": True}  # the digest says which base, and no path does
    (folder / CONFIG).write_text(json.dumps(said, indent=1, sort_keys=True, default=str) + "\n")


def as_difference(adapter: Path, start: Path, method: Loftq, folder: Path) -> None:
    """Write the adapter minus LoftQ's first one, for the original base.

    A (2r, in) = [A; A0], B (out, 2r) = [B, -B0]; the scaling stays."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    trained, first = load_file(adapter / WEIGHTS), load_file(start)
    both = {
        name: torch.cat((tensor, first[name]), 0) if ".lora_A." in name else torch.cat((tensor, -first[name]), 1)
        for name, tensor in trained.items()
    }
    save_file({name: tensor.contiguous() for name, tensor in both.items()}, folder / WEIGHTS)
    config = json.loads((adapter / CONFIG).read_text())
    rank = 2 * method.r
    config |= {"r": rank, "lora_alpha": method.scaling * rank, "use_rslora": False}
    (folder / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def write_manifest(
    folder: Path, recipe: TuneRecipe, base: Base, stage: str, data: Mapping[str, Any], metrics: Mapping[str, Any]
) -> None:
    """Say where a result came from; `base` is what an adapter belongs to, or a model was made of."""
    is_model = recipe.method.makes_model
    said = {
        "name": recipe.name,
        "method": recipe.method.kind,
        "base_digest": base.digest,
        "numerics": base.numerics,
        "not_served": _why_not_served(recipe),
        "stage": stage,
        "seed": recipe.seed,
        "commit": commit(),
        "recipe": recipe.model_dump(mode="json"),
        "data": dict(data),
        "metrics": dict(metrics),
        "versions": {name: metadata.version(name) for name in _VERSIONS},
    }
    if is_model:
        said["digest"] = files_digest(folder)
    content = json.dumps(said, ensure_ascii=False, indent=1) + "\n"
    (folder / (MODEL_MANIFEST if is_model else ADAPTER_MANIFEST)).write_text(content, encoding="utf-8")


def write_base_manifest(recipe: TuneRecipe, base: Base) -> None:
    """Say what LoftQ made a base of, beside it; once, so that it tells the code that made it."""
    file = base.directory / MODEL_MANIFEST
    if base.is_moved and not file.is_file():
        said = {
            "name": f"{recipe.name}-base",
            "digest": base.digest,
            "numerics": base.numerics,
            "made_from": files_digest(recipe.base),
            "method": recipe.method.model_dump(mode="json"),
            "commit": commit(),
        }
        file.write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def settle_into(fresh: Path, folder: Path) -> None:
    """Put a whole result into its place."""
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def data_digests(data: Data, data_dir: Path) -> dict[str, str]:
    """File -> SHA-256 of its bytes."""
    return {str(file): file_digest(located(file, data_dir)) for file in data.files}


def size_bytes(folder: Path) -> int:
    """Of all files of a result."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def commit() -> str:
    """Of the code that trains; "+" if it was changed since, empty outside a checkout."""
    root = Path(__file__).parent
    found = [
        subprocess.run(["/usr/bin/env", "git", *words], cwd=root, capture_output=True, text=True)  # noqa: S603
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    ]
    if any(each.returncode for each in found):
        return ""
    return found[0].stdout.strip() + ("+" if found[1].stdout.strip() else "")


def _why_not_served(recipe: TuneRecipe) -> str | None:
    if recipe.is_masked:
        return "an encoder answers nobody"
    bias = getattr(recipe.method, "bias", "none")
    return None if bias == "none" else f"bias is {bias!r}, workers take adapters with bias 'none'"
