"""May a version take another's place? What both score on the same questions decides. Pure: no I/O, no clock.

A gate set is a file of JSON lines: {"question": ..., "choices": [...], "answer": ..., "group": ...}, each answered with
exactly one of its choices. Right answers are counted pairwise, question by question, and the difference of the means
comes with its 95 % interval (normal approximation over the pairs). A version loses if the whole interval lies below 0:
then it is worse beyond what chance explains. One that may be as good passes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from shared.errors import ConfigError

KOREAN = Path(__file__).with_name("gate_ko.jsonl")  # what ships
_Z = 1.959964  # of 95 %
_MOST_ITEMS = 2000

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GateItem(_Value):
    question: Text
    choices: tuple[Text, ...] = Field(min_length=2, max_length=20)
    answer: Text
    group: Text = "all"

    @model_validator(mode="after")
    def _has_its_answer_among_choices(self) -> Self:
        if self.answer not in self.choices or len(set(self.choices)) != len(self.choices):
            raise ValueError("the answer must be one of the choices, and each choice stand there once")
        return self

    @property
    def prompt(self) -> str:
        """How it is asked."""
        return f"{self.question}\n보기: {', '.join(self.choices)}\n보기 가운데 하나로만 답하세요."

    @property
    def answer_schema(self) -> str:
        """The JSON Schema of its answer: one of the choices, as a string."""
        return json.dumps({"type": "string", "enum": list(self.choices)}, ensure_ascii=False)

    def is_right(self, answer: str) -> bool:
        try:
            return bool(json.loads(answer) == self.answer)
        except ValueError:
            return False


class GateRow(_Value):
    """Of one group of questions, or of all."""

    group: str
    questions: int
    before: float  # share of right answers
    after: float


class GateTable(_Value):
    """What was found. `low` and `high`: the interval of after - before, over all questions."""

    set_digest: str
    against: str | None  # the version that was in use; None: the model alone
    rows: tuple[GateRow, ...]  # the last one is of all questions
    difference: float
    low: float
    high: float

    @property
    def is_lost(self) -> bool:
        return self.high < 0


def gate_of(setting: str) -> tuple[GateItem, ...]:
    """Of NUNMAL_WEB__GATE: the questions of that file, of the one that ships if it is empty, none if it is `off`.

    Raises ConfigError.
    """
    return () if setting == "off" else read_gate(Path(setting) if setting else KOREAN)


def read_gate(path: Path) -> tuple[GateItem, ...]:
    """Raises ConfigError with the line that is wrong."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the gate set {path} cannot be read ({type(error).__name__})") from error
    items = []
    for number, line in enumerate(lines, 1):
        try:
            items += [GateItem.model_validate_json(line)] if line.strip() else []
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ConfigError(f"the gate set {path}, line {number}: {first['msg']}") from error
    if not 2 <= len(items) <= _MOST_ITEMS:
        raise ConfigError(f"the gate set {path} has {len(items)} questions, expected 2 to {_MOST_ITEMS}")
    return tuple(items)


def gate_digest(items: Sequence[GateItem]) -> str:
    """Names the questions: tables of the same digest can be compared."""
    return hashlib.sha256("\n".join(item.model_dump_json() for item in items).encode()).hexdigest()


def table_of(
    items: Sequence[GateItem], before: Sequence[bool], after: Sequence[bool], against: str | None
) -> GateTable:
    """`before`, `after`: whether each item was answered right. At least two items."""
    groups = dict.fromkeys(item.group for item in items)
    rows = [
        _row(group, [place for place, item in enumerate(items) if item.group == group], before, after)
        for group in groups
    ]
    if len(rows) > 1 or rows[0].group != "all":
        rows.append(_row("all", range(len(items)), before, after))
    pairs = [int(new) - int(old) for old, new in zip(before, after, strict=True)]
    mean = sum(pairs) / len(pairs)
    variance = sum((pair - mean) ** 2 for pair in pairs) / (len(pairs) - 1)
    half = _Z * math.sqrt(variance / len(pairs))
    return GateTable(
        set_digest=gate_digest(items),
        against=against,
        rows=tuple(rows),
        difference=mean,
        low=mean - half,
        high=mean + half,
    )


def _row(group: str, places: Sequence[int], before: Sequence[bool], after: Sequence[bool]) -> GateRow:
    def share(right: Sequence[bool]) -> float:
        return sum(right[place] for place in places) / len(places)

    return GateRow(group=group, questions=len(places), before=share(before), after=share(after))
