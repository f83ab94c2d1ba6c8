"""Weights that a training begins with: of another run on this machine, or of a published model with eyes, which holds
all that was learned, in bfloat16 and without what the optimizers remembered. Either way a run warms up anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from shared.adapters.folder import WEIGHTS
from training.export import MANIFEST
from training.loop import Progress, load_checkpoint
from vision.decoder import EYES_ADAPTER
from vision.parser.model import SceneParser
from vision.reader import HEAD_FILE

_MODEL = "model.safetensors"
_ADAPTED = "base_model.model.model.language_model."  # PEFT's name of a layer in the published model


def begin_after(run_dir: Path, model: torch.nn.Module) -> Progress:
    """Put the last weights of a run into a model. Returns what was spent on them, steps counted anew. Mutates the
    model. Raises: RuntimeError: they are another model's."""
    before = load_checkpoint(run_dir / "checkpoint.pt", model)
    return Progress(tokens=before.tokens, seconds=before.seconds)


def begin_parser(published: Path, parser: SceneParser) -> Progress:
    """Put the eyes of a published model into a parser. Returns and raises as `begin_after`. Mutates the parser."""
    parser.encoder.load_state_dict(_part(load_file(published / _MODEL), "vision_tower."))
    parser.head.load_state_dict(load_file(published / HEAD_FILE))
    return _spent(published, "parser")


def begin_speaker(published: Path, stage: str, language: torch.nn.Module, projector: torch.nn.Module) -> Progress:
    """Put what a published model learned to see with into a language model (with LoRA, if it was learned so) and a
    projector. Returns and raises as `begin_after`. Mutates both."""
    weights = load_file(published / _MODEL)
    projector.load_state_dict(_part(weights, "multi_modal_projector."))
    found = _part(weights, "language_model.")
    if (adapter := published / EYES_ADAPTER / WEIGHTS).exists():
        found = {name: found[name] for name in found if name.endswith("embed_tokens.weight")}
        for name, values in _part(load_file(adapter), _ADAPTED).items():
            found[f"model.{name.removesuffix('.weight')}.default.weight"] = values
    result: Any = language.load_state_dict(found, strict=False)
    lacking = [name for name in result.missing_keys if "lora_" in name]
    if result.unexpected_keys or lacking:
        raise RuntimeError(f"{published} learned with other layers: {[*result.unexpected_keys, *lacking][:3]}")
    return _spent(published, stage)


def _part(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): values for name, values in weights.items() if name.startswith(prefix)}


def _spent(published: Path, run: str) -> Progress:
    facts = json.loads((published / MANIFEST).read_text(encoding="utf-8"))
    return Progress(tokens=facts["tokens_seen"].get(run, 0), seconds=60 * facts["minutes"].get(run, 0))
