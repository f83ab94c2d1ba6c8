"""Folders of small adapters written byte by byte, without a tensor library, and a base that they fit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.adapters.base import BaseDescription, LinearShape
from shared.adapters.check import check_folder
from shared.adapters.folder import CONFIG, ORIGIN, WEIGHTS, AdapterFolder
from shared.adapters.manifest import AdapterManifest

BASE = BaseDescription(
    "ba5e" * 16,
    "none",
    {f"model.layers.{layer}.attn.{name}": LinearShape(6, 4) for layer in range(2) for name in ("q", "v")},
)
SAID: dict[str, Any] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 2,
    "lora_alpha": 6,
    "bias": "none",
    "target_modules": ["q"],
    "lora_dropout": 0.1,
    "base_model_name_or_path": "a-name-is-no-digest",
    "auto_mapping": None,
    "loftq_config": {},
    "fan_in_fan_out": False,
}
TRAINED: dict[str, Any] = {
    "base_digest": BASE.digest,
    "numerics": BASE.numerics,
    "created_at": "2026-11-21T00:00:00Z",
    "recipe": {"epochs": 3, "rate": 1e-4},
    "metrics": {"loss": 1.5},
    "something else": [],
}
SHAPES: dict[str, tuple[int, ...]] = {
    f"base_model.model.model.layers.{layer}.attn.q.lora_{letter}.weight": shape
    for layer in range(2)
    for letter, shape in (("A", (2, 6)), ("B", (4, 2)))
}
_BYTES = {"F32": 4, "BF16": 2, "F16": 2}


def write_adapter(directory: Path, *, fill: float = 1.0, trained: Mapping[str, Any] = TRAINED) -> Path:
    """A sound one. Other numbers to fill it with make another version."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / CONFIG).write_text(json.dumps(SAID))
    (directory / ORIGIN).write_text(json.dumps(trained))
    (directory / WEIGHTS).write_bytes(safetensors(SHAPES, fill=fill))
    return directory


def checked(name: str, directory: Path) -> AdapterManifest:
    with AdapterFolder(name, directory) as folder:
        return check_folder(folder, BASE)


def header_of(shapes: Mapping[str, tuple[int, ...]], dtype: str = "F32") -> dict[str, Any]:
    entries: dict[str, Any] = {}
    begin = 0
    for name, shape in shapes.items():
        end = begin + math.prod(shape) * _BYTES[dtype]
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    return entries


def safetensors(shapes: Mapping[str, tuple[int, ...]], dtype: str = "F32", fill: float = 1.0) -> bytes:
    values = np.full(sum(map(math.prod, shapes.values())), fill, "<f4")
    if dtype == "BF16":
        data = (values.view("<u4") >> 16).astype("<u2").tobytes()
    else:
        data = values.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()
    return framed(json.dumps(header_of(shapes, dtype)).encode(), data)


def framed(header: bytes, data: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + data
