"""The files of a LoRA or DoRA adapter, as PEFT writes them, checked before a single tensor reaches the model.

    adapter_config.json         what PEFT was told; what is not read and would change the mathematics is refused
    adapter_model.safetensors   for each adapted linear layer lora_A (r, in), lora_B (out, r); DoRA: magnitudes (out,)
    nunmal.json                 {"base_digest": ..., "numerics": "none" | "nf4" | "int8"}: what it was trained on

The rules are those of every adapter (shared/adapters). Here the bytes that were checked are the bytes that are used and
digested. Not here: what the adapter says.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load as parse_safetensors

from shared.adapters.base import BaseDescription
from shared.adapters.check import check_said, check_weights
from shared.adapters.config import LoraConfig
from shared.adapters.folder import WEIGHTS, AdapterFolder
from shared.adapters.manifest import AdapterManifest
from shared.adapters.refusals import AdapterFileChanged, refusal


@dataclass(frozen=True, slots=True)
class LoraTensors:
    """Of one linear layer, on the CPU and in the file's dtype."""

    a: torch.Tensor  # (r, in)
    b: torch.Tensor  # (out, r)
    magnitude: torch.Tensor | None  # (out,): DoRA
    scaling: float


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    manifest: AdapterManifest
    layers: dict[str, LoraTensors]  # by the module's name in the base model


def read_adapter(name: str, directory: Path, base: BaseDescription) -> AdapterFiles:
    """Check everything about an adapter, or a version (`name@12hex`), which must be that one. Raises AdapterRefused."""
    with AdapterFolder(name.partition("@")[0], directory) as folder:
        said = check_said(folder, base)
        content = folder.read(WEIGHTS, said.config.most_bytes())
    manifest = check_weights(said, io.BytesIO(content), len(content))
    if "@" in name and manifest.version_id != name:
        reason = f"its files are those of {manifest.version_id}, not of {name}"
        raise refusal(AdapterFileChanged, name, WEIGHTS, manifest.digest, reason)
    tensors = parse_safetensors(content)
    return AdapterFiles(manifest, {module: _layer(said.config, module, tensors) for module in said.config.modules})


def _layer(config: LoraConfig, module: str, tensors: dict[str, torch.Tensor]) -> LoraTensors:
    a, b, *magnitude = (tensors[name] for name in config.shapes(module))
    return LoraTensors(a, b, magnitude[0] if magnitude else None, config.scaling(module))
