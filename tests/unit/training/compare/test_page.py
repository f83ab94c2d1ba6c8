"""The table says what surely differs, and text of models stays text."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from training.compare.page import cell_text, html, markdown
from training.compare.recipe import CompareRecipe

PLAIN: dict[str, Any] = {
    "name": "x",
    "out": "out",
    "models": {"base": {"base": "b"}, "a|b": {"base": "b", "instruction": "<b>짧게</b>"}},
    "held_out": {"talk": {"files": ["talk.jsonl"]}},
}
CELL = {"value": 0.5, "low": 0.25, "high": 0.75, "rows": 4}


def result() -> dict[str, Any]:
    return {
        "name": "x",
        "commit": "",
        "torch": "2",
        "recipe": CompareRecipe.model_validate(PLAIN).model_dump(mode="json"),
        "models": {"base": "0" * 64, "a|b": "1" * 64},
        "table": {
            "talk: loss": {"base": CELL, "a|b": CELL | {"than_first": "better"}},
            "won": {"base": None, "a|b": CELL},
        },
        "answers": [
            {
                "set": "talk",
                "question": "?",
                "reference": "네",
                "answers": {"base": "", "a|b": "<script>alert(1)</script>"},
            }
        ],
    }


def test_markdown_marks_what_surely_differs() -> None:
    assert markdown(result()).splitlines() == [
        "| | base | a\\|b |",
        "|---|---|---|",
        "| talk: loss | 0.500 [0.250, 0.750] | 0.500 [0.250, 0.750] ▲ |",
        "| won |  | 0.500 [0.250, 0.750] |",
    ]
    assert cell_text(CELL | {"than_first": "worse"}).endswith("▼")


def test_answers_are_text_and_an_empty_one_is_told() -> None:
    page = html(result())

    assert "<script" not in page and "&lt;b&gt;짧게&lt;/b&gt;" in page
    assert "(빈 답)" in page


def test_a_comparison_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="nothing to compare"):
        CompareRecipe.model_validate({key: value for key, value in PLAIN.items() if key != "held_out"})
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        CompareRecipe.model_validate(PLAIN | {"metric": "bleu"})
