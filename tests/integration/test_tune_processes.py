"""Fine-tuning by several processes: the same recipe gives the same losses and weights, and one process writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from shared.settings import environment_with
from tests.tune_runs import ATTENTION, stage, tiny_recipe

pytest.importorskip("trl")
from training.tune.run import run

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]  # two processes load torch and trl

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "training" / "recipes" / "accelerate"
LORA: dict[str, Any] = {"kind": "lora", "r": 4, "alpha": 8, "dropout": 0.0, **ATTENTION}


def launch(config: str, recipe: Any, data_dir: Path) -> None:
    file = data_dir / "asked.yaml"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
    words = ["--config_file", str(CONFIGS / config), "--main_process_port", "0", "--module", "training.tune"]
    words += ["--config", str(file), "--data-dir", str(data_dir)]
    ended = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *words],
        cwd=ROOT,
        env=environment_with(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    stages = [stage("causal_lm", "texts", accumulation=2), stage("sft", "chats", batch=4)]
    held_out = {"talk": {"files": ["chats.jsonl"]}}
    recipe = tiny_recipe(tmp_path, LORA, stages=stages, held_out=held_out)
    together = recipe.model_copy(update={"run_dir": tmp_path / "two"})

    alone = run(recipe, tmp_path)
    launch("two_cpu_processes.yaml", together, tmp_path)

    assert alone is not None
    summary = json.loads((together.run_dir / "summary.json").read_text())
    for when, sets in alone["held_out"].items():
        assert summary["held_out"][when]["talk"]["loss"] == pytest.approx(sets["talk"]["loss"], rel=1e-4)
    for name, numbers in alone["stages"].items():
        assert summary["stages"][name]["steps"] == numbers["steps"]
        assert summary["stages"][name]["train_loss"] == pytest.approx(numbers["train_loss"], rel=1e-3)
        assert summary["stages"][name]["eval_loss"] == pytest.approx(numbers["eval_loss"], rel=1e-2)
    one, two = (load_file(Path(each["result"]) / "adapter_model.safetensors") for each in (alone, summary))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name], two[name], atol=2e-3) for name in one)
