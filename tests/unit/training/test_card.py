"""The generated parts of the model card."""

from __future__ import annotations

import pytest

from training.card import answers_table, replace_part

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
