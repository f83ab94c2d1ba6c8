"""The generated parts of the model card."""

from __future__ import annotations

import pytest

from training.card import answers_table, bits_table, replace_part

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
