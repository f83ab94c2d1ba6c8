"""Which version may take another's place, by what both answered."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from shared.adapters.gate import GateItem, gate_digest, gate_of, table_of
from shared.adapters.rollout import Alias, GateOutcome, GateRun, begin, begin_gate, gate_goes_on
from shared.errors import AdapterBusy, ConfigError

ITEMS = [
    GateItem(question=f"{number}?", choices=("네", "아니요"), answer="네", group="ab"[number % 2])
    for number in range(40)
]


def right(count: int) -> list[bool]:
    return [number < count for number in range(len(ITEMS))]


def test_a_version_that_loses_beyond_chance_is_told_from_one_that_may_be_as_good() -> None:
    assert table_of(ITEMS, right(40), right(20), None).is_lost
    assert not table_of(ITEMS, right(40), right(39), None).is_lost
    assert not table_of(ITEMS, right(20), right(20), None).is_lost
    assert not table_of(ITEMS, right(20), right(40), None).is_lost


def test_the_interval_is_that_of_the_paired_differences() -> None:
    """Twenty of forty pairs are -1, twenty 0: mean -0.5, standard error 0.5 * sqrt(40/39) / sqrt(40)."""
    table = table_of(ITEMS, right(40), right(20), "a@1")

    half = 1.959964 * 0.5 * math.sqrt(40 / 39) / math.sqrt(40)
    assert (table.difference, table.low, table.high) == pytest.approx((-0.5, -0.5 - half, -0.5 + half))
    assert [(row.group, row.questions, row.before, row.after) for row in table.rows] == [
        ("a", 20, 1.0, 0.5),
        ("b", 20, 1.0, 0.5),
        ("all", 40, 1.0, 0.5),
    ]


def test_an_answer_is_right_if_it_is_the_choice_as_json() -> None:
    item = ITEMS[0]

    assert json.loads(item.answer_schema) == {"type": "string", "enum": ["네", "아니요"]}
    assert [item.is_right(answer) for answer in ('"네"', '"아니요"', "네", "")] == [True, False, False, False]


def test_the_set_that_ships_can_be_asked() -> None:
    items = gate_of("")

    assert len(items) >= 20
    assert len({item.question for item in items}) == len(items)
    assert gate_of("off") == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "line 1"),
        ('{"question": "a", "choices": ["b", "c"], "answer": "d"}', "one of the choices"),
        ('{"question": "a", "choices": ["b", "b"], "answer": "b"}', "each choice stand there once"),
        ('{"question": "a", "choices": ["b", "c"], "answer": "b"}', "has 1 questions"),
    ],
)
def test_a_set_that_cannot_be_asked_stops_the_start(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "gate.jsonl").write_text(content)

    with pytest.raises(ConfigError, match=reason):
        gate_of(str(tmp_path / "gate.jsonl"))
    with pytest.raises(ConfigError, match="cannot be read"):
        gate_of(str(tmp_path / "nothing"))


def test_sets_are_told_apart() -> None:
    assert gate_digest(ITEMS) != gate_digest(ITEMS[1:])


def test_one_gate_is_held_at_a_time_and_one_that_nobody_holds_any_more_is_over() -> None:
    run = GateRun(id="1", adapter="a@1", by="me", began_at=0.0, beat_at=0.0, of=80)
    alias = begin_gate(Alias(name="a"), run, 0.0)
    with pytest.raises(AdapterBusy, match="a@1 is at the gate"):
        begin_gate(alias, run, 29.0)
    assert begin_gate(alias, run.model_copy(update={"id": "2"}), 31.0).gate is not None

    going = gate_goes_on(alias, "1", GateOutcome.RUNNING, 5.0, None, 7)
    assert going.gate is not None
    assert (going.gate.done, going.gate.beat_at) == (7, 5.0)
    assert gate_goes_on(alias, "another", GateOutcome.PASSED, 5.0, None, 7) == alias
    with pytest.raises(AdapterBusy, match="being rolled out"):
        begin_gate(begin(Alias(name="a"), "a@1", "r", 0.0, 9.0), run, 0.0)
