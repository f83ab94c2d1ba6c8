"""Does the training data hold what we test with? Each turn against every text of every evaluation set.

Three ways to leak: the same letters, nearly the same (training/data/near.py), or the whole text of a test somewhere
inside a longer turn. Texts that are too short to belong to a test (a greeting, "예") do not count. It finds words, not
meaning: a paraphrase stays unseen. Unlike training/data/decontaminate.py, which drops what is near our own 80 prompts
while a corpus is made, it only reports.

How to run: `find_leaks(rows, load_tests(data_dir / "eval"))`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from training.data.files import bare_name, raw_rows
from training.data.near import letters, nearest
from training.data.rows import Conversation

MIN_LETTERS = 10  # of a text of a test
MIN_INSIDE_LETTERS = 20  # of one that is looked for inside longer texts
_NO_TEXT = {"id", "guid", "source", "slug", "filename", "genre", "model_id", "answer_id", "sample_id", "bbq_id"}


class Way(StrEnum):
    """How a turn gives a test away."""

    SAME = "same"
    NEAR = "near"
    INSIDE = "inside"


@dataclass(frozen=True)
class EvalText:
    """One text of an evaluation set: a question, a passage, an answer."""

    set_name: str  # the path inside eval/, without its endings
    text: str


@dataclass(frozen=True)
class Leak:
    """A turn of a training row that gives a test away."""

    row: int  # in the rows that were given
    way: Way
    test: EvalText


def load_tests(eval_dir: Path) -> list[EvalText]:
    """Every text of every set, each once. A folder without sets gives none; rows that cannot be read are left out."""
    tests = []
    for path in sorted(eval_dir.rglob("*.json*")):
        name = path.relative_to(eval_dir).with_name(bare_name(path)).as_posix()
        seen: set[str] = set()
        for row in raw_rows(path):
            for text in _texts(row.content):
                kept = letters(text)
                if len(kept) >= MIN_LETTERS and kept not in seen:
                    seen.add(kept)
                    tests.append(EvalText(name, text))
    return tests


def find_leaks(rows: Sequence[Conversation], tests: Sequence[EvalText]) -> list[Leak]:
    """The turns that give a test away, each with one test, in the order of the rows."""
    turns: dict[str, list[int]] = defaultdict(list)  # by letters, so that repeated ones are looked at once
    for number, row in enumerate(rows):
        for _, text in row.turns:
            kept = letters(text)
            if len(kept) >= MIN_LETTERS:
                turns[kept].append(number)
    known = {letters(test.text): test for test in reversed(tests)}
    found: dict[str, tuple[Way, EvalText]] = {text: (Way.SAME, known[text]) for text in turns if text in known}

    rest = [text for text in turns if text not in found]
    for text, inside in zip(rest, _inside(rest, list(known)), strict=True):
        if inside is not None:
            found[text] = (Way.INSIDE, known[inside])
    rest = [text for text in rest if text not in found]
    given = list(known)
    matches = nearest([*given, *rest], boundary=len(given))[len(given) :]
    for text, match in zip(rest, matches, strict=True):
        if match is not None:
            found[text] = (Way.NEAR, known[given[match.place]])
    leaks = [Leak(row, *found[text]) for text, places in turns.items() if text in found for row in places]
    return sorted(leaks, key=lambda leak: leak.row)


def _inside(texts: Sequence[str], wanted: Sequence[str]) -> list[str | None]:
    """For each text one of the wanted that it holds whole, looked up by how that one begins."""
    size = MIN_INSIDE_LETTERS
    starts: defaultdict[str, list[str]] = defaultdict(list)
    for want in wanted:
        if len(want) >= size:
            starts[want[:size]].append(want)
    found: list[str | None] = []
    for text in texts:
        runs = (text[i : i + size] for i in range(len(text) - size + 1))
        found.append(next((want for run in runs for want in starts.get(run, ()) if want in text), None))
    return found


def _texts(content: Any) -> Iterator[str]:
    """All texts in a row, however deep, but for names of things."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            yield from _texts(part)
    elif isinstance(content, dict):
        for key, part in content.items():
            if key not in _NO_TEXT:
                yield from _texts(part)
