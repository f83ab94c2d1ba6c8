"""The ready recipes run from end to end on tiny random models of the architecture they are for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")
from tests.tiny_models import save_tiny_model
from tests.tune_runs import CHATS, TEXTS
from training.config import load_recipe
from training.tune.recipe import Data, TuneRecipe
from training.tune.run import run

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # peft and trl, of newer names
]

RECIPES = Path(__file__).parents[2] / "training" / "recipes" / "tune"
FAMILIES = {
    "polyglot_ko_qlora": "GPTNeoX",
    "kullm_style_lora": "GPTNeoX",
    "koalpaca_style_qlora": "GPTNeoX",
    "qwen3_lora": "Qwen3",
}
SMALL: dict[str, Any] = {"steps": 1, "batch": 2, "accumulation": 2, "max_tokens": 64, "precision": "fp32"}


def made_small(recipe: TuneRecipe, folder: Path) -> TuneRecipe:
    """The same recipe with few rows of its kind, one step, and numbers that a small machine computes."""
    plain = recipe.model_dump(mode="json")
    plain |= {"base": str(folder / "base"), "run_dir": str(folder / "run"), "device": "cpu", "dtype": "float32"}
    for stage in plain["stages"]:
        stage["training"] |= SMALL
    return TuneRecipe.model_validate(plain)


def write_data(data: Data, folder: Path) -> None:
    for file in data.files:
        rows = CHATS if file.parts[0] == "sft" else TEXTS
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        content = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / file).write_bytes(gzip.compress(content.encode()))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_ready_recipe_runs(name: str, tmp_path: Path) -> None:
    recipe = made_small(load_recipe(RECIPES / f"{name}.yaml", TuneRecipe), tmp_path)
    save_tiny_model(tmp_path / "base", FAMILIES[name])
    for data in [*(stage.data for stage in recipe.stages), *recipe.held_out.values()]:
        write_data(data, tmp_path)

    summary = run(recipe, tmp_path)

    assert summary is not None
    manifest = json.loads((Path(summary["result"]) / "nunmal.json").read_text())
    assert (manifest["name"], manifest["not_served"]) == (recipe.name, None)
    assert list(summary["stages"]) == [stage.name for stage in recipe.stages]
