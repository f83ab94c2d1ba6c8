"""Where curves go."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.tune_runs import tiny_recipe

trainers = pytest.importorskip("training.tune.trainers")


def test_weights_and_biases_writes_into_the_runs_folder_and_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    module = ModuleType("wandb")
    module.__spec__ = ModuleSpec("wandb", None)
    module.init = lambda **options: asked.append(options)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    recipe = tiny_recipe(
        tmp_path, {"kind": "lora", "r": 4, "alpha": 8, "target_modules": ["q_proj"]}, report_to="wandb"
    )

    trainers.check_reporter(recipe)
    trainers.open_reporter(recipe)

    assert asked == [{"mode": "offline", "dir": str(recipe.run_dir), "name": recipe.name}]
