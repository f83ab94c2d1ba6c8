"""Recipes of fine-tuning are strict, and those that ship are valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from training.config import load_recipe
from training.tune.recipe import TuneRecipe
from training.tune.sweep import combinations

RECIPES = Path(__file__).parents[4] / "training" / "recipes" / "tune"
PLAIN: dict[str, Any] = {
    "name": "x",
    "base": "base",
    "run_dir": "run",
    "method": {"kind": "lora"},
    "stages": [{"name": "task", "objective": "sft", "data": {"files": ["rows.jsonl"]}}],
}


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_shipped_recipe_is_valid_and_so_are_all_runs_of_its_sweep(file: Path) -> None:
    recipe = load_recipe(file, TuneRecipe)

    runs = combinations(recipe)

    assert len(runs) == max(1, len(yaml.safe_load(file.read_text()).get("sweep", {}).get("method", [])))
    assert f"--config training/recipes/tune/{file.name}" in file.read_text()


@pytest.mark.parametrize(
    ("place", "key"),
    [("", "lora_rank"), ("method", "rank"), ("stages.0", "epochs"), ("stages.0.data", "path"), ("stages.0", "rate")],
)
def test_an_unknown_key_is_refused_by_name(place: str, key: str) -> None:
    plain = yaml.safe_load(yaml.safe_dump(PLAIN))
    at: Any = plain
    for step in filter(None, place.split(".")):
        at = at[int(step)] if step.isdecimal() else at[step]
    at[key] = 1

    with pytest.raises(ValidationError, match=rf"{key}\n  Extra inputs are not permitted"):
        TuneRecipe.model_validate(plain)


def test_a_method_takes_its_own_options_only() -> None:
    with pytest.raises(ValidationError, match="bits"):
        TuneRecipe.model_validate(PLAIN | {"method": {"kind": "lora", "bits": 4}})


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"method": {"kind": "loftq", "r": 200, "publish": "difference"}}, "doubled"),
        ({"method": {"kind": "full"}, "dtype": "bfloat16"}, "dtype must be float32"),
        ({"stages": PLAIN["stages"] * 2}, "names of their own"),
        (
            {"stages": [*PLAIN["stages"], PLAIN["stages"][0] | {"name": "m", "objective": "masked_lm"}]},
            "make two recipes",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_with_its_reason(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TuneRecipe.model_validate(PLAIN | changed)


def test_every_field_has_a_sentence() -> None:
    def sentences(model: Any) -> list[str]:
        schema = model.model_json_schema()
        kinds = [schema, *schema["$defs"].values()]
        return [
            f"{kind['title']}.{name}"
            for kind in kinds
            for name, said in kind["properties"].items()
            if "description" not in said and name not in ("kind", "training")
        ]

    assert sentences(TuneRecipe) == []
