"""What is replaced in a model before it serves, in the order in which one builds on another."""

from __future__ import annotations

from workers.engine.fused_layer import fuse_layers
from workers.engine.fused_norm import fuse_norms
from workers.engine.model_runner import ModelRunner
from workers.engine.packed_linear import pack


def replace_modules(runner: ModelRunner) -> None:
    """Where something faster gives the same: every replacement is compared with what it stands for."""
    fuse_norms(runner.model)
    fuse_layers(runner.model, runner.cache)
    pack(runner.model)
