"""A base, its adapter, and the adapter with an instruction side by side, from recipe to page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from bs4 import BeautifulSoup

pytest.importorskip("trl")
pytest.importorskip("kiwipiepy")
from shared.chat import Message, Role
from shared.errors import ConfigError
from shared.model_digest import files_digest
from shared.prompting import prompt_ids
from tests.tiny_models import save_tiny_model, tiny_model
from tests.tune_runs import ATTENTION, CHATS, stage, tiny_recipe, write_lines
from training.compare.answers import answers
from training.compare.judges import Verdict
from training.compare.recipe import CompareRecipe
from training.compare.run import compare
from training.tune.run import run
from training.tune.weights import open_tokenizer

pytestmark = [
    pytest.mark.timeout(600),  # the adapter is trained, and Kiwi's dictionary read
    pytest.mark.filterwarnings("ignore"),  # peft and trl, of newer names
]


class Longer:
    """Prefers the longer answer."""

    name = "longer"

    def prefers(self, question: str, first: str, second: str) -> Verdict:
        return "first" if len(first) >= len(second) else "second"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base/, run/ with a tuned adapter, and rows."""
    folder = tmp_path_factory.mktemp("compared")
    method: dict[str, Any] = {"kind": "lora", "r": 8, "alpha": 32, "dropout": 0.0, **ATTENTION}
    recipe = tiny_recipe(
        folder, method, stages=[stage("sft", "chats", steps=30, batch=8, save_steps=30, eval_steps=30)]
    )
    assert run(recipe, folder) is not None
    write_lines(folder / "asked.jsonl", CHATS[:6])
    return folder


def recipe_of(folder: Path, **changed: Any) -> CompareRecipe:
    base, adapter = folder / "base", folder / "run" / "1-sft" / "result"
    plain: dict[str, Any] = {
        "name": "tiny",
        "out": folder / "out",
        "device": "cpu",
        "models": {
            "base": {"base": base},
            "tuned": {"base": base, "adapter": adapter},
            "tuned + instruction": {"base": base, "adapter": adapter, "instruction": "짧게 <답해요>"},
        },
        "held_out": {"chats": {"files": ["chats.jsonl"]}},
        "answered": {"chats": {"files": ["asked.jsonl"]}},
        "max_new_tokens": 12,
        "resamples": 200,
    }
    return CompareRecipe.model_validate(plain | changed)


def test_three_columns_from_recipe_to_page(folder: Path) -> None:
    recipe = recipe_of(folder, samples=2)

    result = compare(recipe, folder, Longer())

    assert json.loads((recipe.out / "compare.json").read_text()) == result
    loss = result["table"]["chats: loss"]
    assert loss["tuned"]["value"] < loss["base"]["value"]
    assert loss["tuned"]["than_first"] == "better" and "than_first" not in loss["base"]
    assert loss["base"]["low"] <= loss["base"]["value"] <= loss["base"]["high"]
    metrics = {name.removeprefix("chats: ") for name in result["table"]}
    assert metrics >= {
        "bits per byte",
        "ROUGE-1",
        "ROUGE-2",
        "ROUGE-L",
        "BLEU",
        "cosine (letters)",
        "preferred by longer",
    }
    assert result["table"]["chats: preferred by longer"]["base"] is None
    said = result["answers"][0]["answers"]
    assert set(said) == set(recipe.models) and said["tuned"] != said["base"]
    markdown = (recipe.out / "compare.md").read_text()
    assert markdown.startswith("| | base | tuned | tuned + instruction |")
    page = BeautifulSoup((recipe.out / "compare.html").read_text(), "html.parser")
    assert len(page.select("td.answer")) == 2 * 4
    assert "짧게 <답해요>" in page.text and not page.select("답해요, script")


def test_an_adapter_of_another_base_is_refused(folder: Path, tmp_path: Path) -> None:
    other = save_tiny_model(tmp_path / "other", seed=5)
    adapter = folder / "run" / "1-sft" / "result"

    with pytest.raises(ConfigError, match="was trained on another base"):
        compare(recipe_of(folder, models={"x": {"base": other, "adapter": adapter}}), folder)
    assert files_digest(other) != files_digest(folder / "base")


def test_rows_that_answer_nothing_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"answered\.texts: no row ends with an answer"):
        compare(recipe_of(folder, answered={"texts": {"files": ["texts.jsonl"]}}), folder)


def test_answers_in_a_batch_are_those_given_alone(folder: Path) -> None:
    model, tokenizer = tiny_model(), open_tokenizer(folder / "base")
    asked = [[Message(Role.USER, text)] for text in ("안녕하세요", "오늘 날씨가 참 좋네요, 그렇죠?", "네")]
    options: dict[str, Any] = {"instruction": "", "max_new_tokens": 10}

    together = answers(model, tokenizer, asked, batch=3, **options)

    assert together == [answers(model, tokenizer, [turns], batch=1, **options)[0] for turns in asked]
    ids = torch.tensor([prompt_ids(asked[0], tokenizer)])
    written = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False, pad_token_id=0
    )  # type: ignore[operator]  # transformers
    assert together[0] == tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True).strip()
