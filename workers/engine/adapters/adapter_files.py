"""The files of a LoRA or DoRA adapter, as PEFT writes them, checked before a single tensor reaches the model.

    adapter_config.json         what PEFT was told; what is not read and would change the mathematics is refused
    adapter_model.safetensors   for each adapted linear layer lora_A (r, in), lora_B (out, r); DoRA: magnitudes (out,)
    nunmal.json                 {"base_digest": ..., "numerics": "none" | "nf4" | "int8"}: what it was trained on

The rules are those of every adapter (shared/adapters). Here the bytes that were checked are the bytes that are used and
digested. Not here: what the adapter says.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load as parse_safetensors

from shared.adapters.base import LinearShape
from shared.adapters.check import check_base
from shared.adapters.config import LoraConfig
from shared.adapters.folder import CONFIG, ORIGIN, WEIGHTS, AdapterFolder
from shared.adapters.refusals import AdapterNotFinite, refusal
from shared.adapters.weights import check_tensors, read_header


@dataclass(frozen=True, slots=True)
class LoraTensors:
    """Of one linear layer, on the CPU and in the file's dtype."""

    a: torch.Tensor  # (r, in)
    b: torch.Tensor  # (out, r)
    magnitude: torch.Tensor | None  # (out,): DoRA
    scaling: float


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    digest: str  # SHA-256 over names and contents of the three files
    rank: int  # the greatest of its layers
    is_dora: bool
    base_digest: str
    numerics: str
    layers: dict[str, LoraTensors]  # by the module's name in the base model


def read_adapter(
    name: str, directory: Path, linears: Mapping[str, LinearShape], base_digest: str, numerics: str
) -> AdapterFiles:
    """Check everything about an adapter. `linears`: the base's layers that may be adapted. Raises AdapterRefused."""
    with AdapterFolder(name, directory) as folder:
        config_bytes, options = folder.read_json(CONFIG)
        origin_bytes, origin = folder.read_json(ORIGIN)
        check_base(name, origin.get("base_digest"), origin.get("numerics"), base_digest, numerics)
        config = LoraConfig(name, options, linears)
        weights_bytes = folder.read(WEIGHTS, config.most_bytes())
    header = read_header(name, io.BytesIO(weights_bytes), len(weights_bytes))
    check_tensors(name, header, config.all_shapes())
    tensors = parse_safetensors(weights_bytes)
    for key, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise refusal(AdapterNotFinite, name, WEIGHTS, key, f"{key} has values that are not finite")
    layers = {module: _layer(config, module, tensors) for module in config.modules}
    digest = hashlib.sha256()
    for file, content in ((CONFIG, config_bytes), (WEIGHTS, weights_bytes), (ORIGIN, origin_bytes)):
        digest.update(f"{file} {hashlib.sha256(content).hexdigest()}\n".encode())
    return AdapterFiles(digest.hexdigest(), config.rank, config.is_dora, base_digest, numerics, layers)


def _layer(config: LoraConfig, module: str, tensors: dict[str, torch.Tensor]) -> LoraTensors:
    a, b, *magnitude = (tensors[name] for name in config.shapes(module))
    return LoraTensors(a, b, magnitude[0] if magnitude else None, config.scaling(module))
