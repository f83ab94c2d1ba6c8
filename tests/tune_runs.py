"""Fine-tunings of tiny models: data, recipes and runs that end in seconds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.tiny_models import save_tiny_model
from training.tune.recipe import TuneRecipe

TEXTS = [{"text": f"오늘 날씨가 참 좋네요. {number}번째 글입니다."} for number in range(24)]
CHATS = [
    {"messages": [{"role": "user", "content": f"{number}번?"}, {"role": "assistant", "content": "네, 감사합니다."}]}
    for number in range(24)
]
PAIRS = [
    {"prompt": f"안녕하세요 {number}", "chosen": "반갑습니다.", "rejected": "그렇군요, 감사합니다."}
    for number in range(24)
]
ATTENTION = {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}


def write_lines(file: Path, rows: Iterable[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def tiny_recipe(
    tmp_path: Path, method: dict[str, Any], *, stages: list[dict[str, Any]] | None = None, **more: Any
) -> TuneRecipe:
    """A recipe of two steps on a tiny Llama; data files lie in `tmp_path`, the run in tmp_path/run."""
    base = more.pop("base", tmp_path / "base")
    if not base.exists():
        save_tiny_model(base, more.pop("family", "Llama"))
    for name, rows in (("texts", TEXTS), ("chats", CHATS), ("pairs", PAIRS)):
        write_lines(tmp_path / f"{name}.jsonl", rows)
    plain = {"name": "tiny", "seed": 7, "base": base, "run_dir": tmp_path / "run", "device": "cpu", "method": method}
    return TuneRecipe.model_validate(plain | {"stages": stages or [stage("sft", "chats")]} | more)


def stage(objective: str, data: str, **training: Any) -> dict[str, Any]:
    """Two steps of two rows each, unless `training` says otherwise."""
    grid = {"steps": 2, "batch": 2, "rate": 0.01, "max_tokens": 64, "log_steps": 1, "save_steps": 1, "eval_steps": 1}
    return {
        "name": objective.replace("_", "-"),
        "objective": objective,
        "data": {"files": [f"{data}.jsonl"]},
        "eval_share": 0.2,
        "training": grid | training,
    }
