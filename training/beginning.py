"""The weights that a training begins with: another run's, or those of a model that was published with eyes."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from training.export import MANIFEST
from training.loop import Progress, load_checkpoint
from vision.parser.model import SceneParser
from vision.reader import open_parser, tensors_of


def begin_as_run(run_dir: Path, model: torch.nn.Module) -> Progress:
    """As its last checkpoint. Returns what was spent on it, its steps not counted: the rate warms up anew. Mutates the
    model. Raises: OSError: there is none; RuntimeError: it is of another shape."""
    before = load_checkpoint(run_dir / "checkpoint.pt", model)
    return Progress(tokens=before.tokens, seconds=before.seconds)


def begin_as_published_parser(folder: Path, parser: SceneParser) -> Progress:
    """Like `begin_as_run`, with the eyes of a published model (bfloat16). Raises: ValueError: it has none."""
    published = open_parser(folder)
    if published is None:
        raise ValueError(f"{folder} has no parser")
    parser.load_state_dict(published.state_dict())
    facts = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return Progress(tokens=facts["tokens_seen"]["parser"], seconds=facts["minutes"]["parser"] * 60)


def begin_as_published_projector(folder: Path, projector: torch.nn.Module) -> None:
    """With the projector of a published model. Mutates `projector`. Raises: RuntimeError: it is of another shape."""
    projector.load_state_dict(tensors_of(folder, "multi_modal_projector."))
