"""Templates expand to whole sentences, the same ones for the same seed, and sums are right."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import yaml

from training.data import arithmetic
from training.data.templates import TEMPLATE_DIR, expand_file, fill, template_conversations


def test_fill_chooses_the_particle() -> None:
    text = fill("{food:을/를} 먹고 {place:으로/로} 가요.", {"food": "김밥", "place": "서울"})

    assert text == "김밥을 먹고 서울로 가요."


def test_same_seed_gives_the_same_rows() -> None:
    path = TEMPLATE_DIR / "recall.yaml"

    assert list(expand_file(path, random.Random(3))) == list(expand_file(path, random.Random(3)))


def test_another_seed_draws_other_answers() -> None:
    path = TEMPLATE_DIR / "feelings.yaml"

    assert list(expand_file(path, random.Random(3))) != list(expand_file(path, random.Random(4)))


def test_weights_repeat_and_leave_out_files(tmp_path: Path) -> None:
    block = {"ask": ["안녕?", "뭐 해?"], "say": ["안녕."]}
    for stem in ("one", "two"):
        content = {"intents": [{"id": stem, "polite": block}]}
        (tmp_path / f"{stem}.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    rows = list(template_conversations(0, {"one": 3, "two": 0}, tmp_path))

    assert [row.source for row in rows] == ["templates/one"] * 6


@pytest.mark.parametrize("path", sorted(TEMPLATE_DIR.glob("*.yaml")), ids=lambda p: p.stem)
def test_file_expands_without_leftovers(path: Path) -> None:
    rows = list(expand_file(path, random.Random(0)))

    assert rows
    for row in rows:
        assert [role for role, _ in row.turns] == ["user", "assistant"] * (len(row.turns) // 2)
        for _, text in row.turns:
            assert text.strip()
            assert not re.search(r"[{}]", text), text


def test_an_answer_never_guesses_a_slot_that_was_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    block = {"ask": ["배고파."], "say": ["{food:을/를} 드세요.", "뭐든 드세요."]}
    content = {"intents": [{"id": "x", "slots": {"food": ["떡"]}, "polite": block}]}
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    answers = {row.turns[1][1] for seed in range(20) for row in expand_file(path, random.Random(seed))}

    assert answers == {"뭐든 드세요."}


@pytest.mark.parametrize("kind", ["add", "sub", "mul", "div", "add3", "sub2"])
def test_sums_are_right_and_never_negative(kind: str) -> None:
    rng = random.Random(0)
    for _ in range(500):
        s = arithmetic.draw_sum(kind, rng)
        expected = {
            "add": s.a + s.b,
            "sub": s.a - s.b,
            "mul": s.a * s.b,
            "div": s.a // s.b,
            "add3": s.a + s.b + s.c,
            "sub2": s.a - s.b - s.c,
        }[kind]

        assert s.r == expected >= 0
        assert kind != "div" or s.a % s.b == 0
        assert max(s.a, s.b, s.r) <= 108


def test_unknown_kind_of_sum_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of sum 'power'"):
        arithmetic.draw_sum("power", random.Random(0))


def test_every_equation_in_the_arithmetic_rows_holds() -> None:
    rows = list(expand_file(TEMPLATE_DIR / "arithmetic.yaml", random.Random(0)))
    equation = re.compile(r"(\d+(?: [-+×÷] \d+)+) = (\d+)")

    found = [match for row in rows for match in equation.finditer(row.turns[1][1])]

    assert len(found) > 300
    for match in found:
        total, *steps = re.split(r" (?=[-+×÷])", match[1])
        value = int(total)
        for step in steps:
            sign, number = step.split(" ")
            a, b = value, int(number)
            value = {"+": a + b, "-": a - b, "×": a * b, "÷": a // max(1, b)}[sign]
        assert value == int(match[2]), match[0]
