"""The generated parts of the model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.card import answers_table, bits_table, facts_table, families_table, passed_table, replace_part
from training.evaluate import renew
from vision.evaluate import WAYS

CARD = "앞\n<!-- generated:x -->\n옛것\n<!-- /generated:x -->\n뒤\n"


def test_only_the_marked_part_changes() -> None:
    assert replace_part(CARD, "x", "새\\1것") == CARD.replace("옛것", "새\\1것")


def test_missing_markers_are_named() -> None:
    with pytest.raises(ValueError, match="no part 'y'"):
        replace_part(CARD, "y", "")


def test_answers_are_counted_and_escaped() -> None:
    row = {"prompt": "a|b", "answer": "줄\n바꿈", "verdict": "pass", "reason": "", "nearest": "c", "nearest_dice": 0.25}

    table = answers_table([row, row | {"verdict": "fail", "reason": "loop"}])

    assert table.startswith("1 of 2 pass.")
    assert "a\\|b" in table
    assert "줄<br>바꿈" in table
    assert "fail: loop" in table


def test_bits_are_shown_for_each_model_side_by_side() -> None:
    table = bits_table({"fine-tuned": {"a": 2.0, "all": 2.5}, "pretrained": {"a": 1.5, "all": 1.75}})

    assert "| a | 2.000 | 1.500 |" in table
    assert "| all | 2.500 | 1.750 |" in table


def test_what_passed_before_stays_beside_what_passes_now(tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    renew(file, "passed", "fine-tuned", {"own": 24})
    renew(file, "passed", "with eyes", {"own": 1})

    passed = renew(file, "passed", "with eyes", {"own": 25})["passed"]

    assert json.loads(file.read_text())["passed"] == passed
    assert passed_table(passed).splitlines() == [
        "| prompts | fine-tuned | with eyes |",
        "|---|---|---|",
        "| own | 24 of 40 | 25 of 40 |",
    ]


TEXT: dict[str, Any] = {
    "digest": "1" * 64,
    "recipes": {"pretrain": {"model": dict.fromkeys(("num_hidden_layers", "hidden_size", "num_attention_heads"), 6)}},
    "seed": 3,
    "tokens_seen": {"pretrain": 4000, "sft": 23_000},
    "minutes": {"pretrain": 30.2, "sft": 181.4},
    "data_sha256": "2" * 64,
}
TEXT["recipes"]["pretrain"]["model"]["vocab_size"] = 8192


def test_a_model_with_eyes_says_what_it_sees_with_and_what_it_was_before() -> None:
    eyes = {
        "digest": "3" * 64,
        "parameters": 12_000_000,
        "recipes": {
            "parser": {"encoder": {"image_size": 128, "patch_size": 16, "num_hidden_layers": 6, "hidden_size": 256}}
        },
        "tokens_seen": {"reason": 6_400_000, "answer": 3_000_000, "parser": 64 * 500},
        "minutes": {"reason": 120.0, "answer": 40.0, "parser": 70.0},
        "language_model": TEXT,
    }

    table = facts_table(eyes)

    assert f"| Digest | `{'3' * 16}` |" in table
    assert f"| Language model before | `{'1' * 16}` |" in table
    assert "| Parser | 500 pictures, 70 minutes |" in table
    assert "| Alignment | reason 6,400,000 tokens, 120 minutes; answer 3,000,000 tokens, 40 minutes |" in table
    assert "| Fine-tuning | 23,000 tokens, 181 minutes |" in table
    assert "Eyes" not in facts_table(TEXT)


def test_families_stand_by_way_with_the_splits_and_the_spread_of_seeds() -> None:
    row = dict.fromkeys((*WAYS, "majority"), 0.5)
    measured = {
        **dict.fromkeys((*WAYS, "majority"), 0.75),
        "by_family": {"count": row | {"combined": 0.983}},
        "compositional": row,
        "paraphrase": row,
        "by_seed": {way: [0.7, 0.8] for way in WAYS},
    }

    table = families_table(measured)

    assert "| count | 50.0 % | 50.0 % | 98.3 % | 50.0 % | 50.0 % | 50.0 % |" in table
    assert "| all | 75.0 %" in table
    assert "end_to_end 70.0, 80.0; listed 70.0, 80.0" in table
