"""Recipes are strict."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from training.config import (
    LlavaRecipe,
    ModelShape,
    PretrainRecipe,
    SftRecipe,
    TokenizerRecipe,
    load_recipe,
)
from training.data.sources import source

RECIPES = Path(__file__).parents[3] / "training" / "recipes"


def test_shipped_recipes_are_valid_and_name_free_sources() -> None:
    recipes = (
        load_recipe(RECIPES / "reference_tokenizer.yaml", TokenizerRecipe),
        load_recipe(RECIPES / "reference_pretrain.yaml", PretrainRecipe),
        load_recipe(RECIPES / "reference_sft.yaml", SftRecipe),
    )

    for recipe in recipes:
        for name in recipe.sources:
            assert source(name).name == name


@pytest.mark.parametrize("name", ["siglip_qwen3", "clip_polyglot"])
def test_example_recipes_of_real_parts_are_valid(name: str) -> None:
    assert load_recipe(RECIPES / f"{name}.yaml", LlavaRecipe).answer.images


def test_unknown_key_stops_the_run(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("vocab_size: 8\nvocabsize: 9\nsources: {}\noutput_dir: x\n")

    with pytest.raises(ValidationError, match="vocabsize"):
        load_recipe(path, TokenizerRecipe)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValidationError, match=r"hidden_size \(10\) must be divisible"):
        ModelShape(hidden_size=10, num_attention_heads=4)
