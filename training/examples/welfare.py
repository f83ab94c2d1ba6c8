"""Worked example 2, knowledge in questions: welfare programmes (MIT), 9,547 questions about 456 of them.

Two things are asked of a tuned model, so there are two held-out sets: questions it never saw about programmes that it
learned (`seen`), and programmes of which it learned nothing (`unseen`). A model that gains on the first alone has
learned facts; one that gains on the second has learned how to answer, and what it says there is made up.

How to run:
    python -m training.examples.welfare --out var/training/welfare
    python -m training.tune --config training/recipes/tune/welfare_lora.yaml
    python -m training.compare --config training/recipes/compare/welfare.yaml
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.errors import ConfigError
from shared.settings import load_settings
from training.examples import prepared

_PROGRAMMES = 0.1  # share of programmes that are held out as a whole
_QUESTIONS = 0.03  # of the others' questions
_SHOWN = 10


def prepare(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """`train`, `seen` and `unseen`; no instruction, because the service gives its own."""
    made: dict[str, list[dict[str, Any]]] = {"train": [], "seen": [], "unseen": []}
    for row in rows:
        question, answer = (turn["content"] for turn in row["messages"])
        if prepared.is_held_out(row["meta"]["document"], _PROGRAMMES):
            kept = "unseen"
        else:
            kept = "seen" if prepared.is_held_out(question, _QUESTIONS) else "train"
        made[kept].append(prepared.row_of(row["id"], question, answer, ""))
    return made


def explored(rows: Sequence[dict[str, Any]]) -> list[str]:
    """How many questions there are about how many programmes, and about which most."""
    counts = Counter(row["meta"]["document"] for row in rows)
    named = sum(row["meta"]["document"] in row["messages"][0]["content"] for row in rows)
    facts = [
        f"- {len(rows)} questions about {len(counts)} programmes",
        f"- {named} questions name their programme; the others only say what it is for",
    ]
    return ["# Welfare programmes", "", *facts, *prepared.counted("programme", dict(counts.most_common(_SHOWN)))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns: the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of train, seen and unseen.jsonl, and eda.md")
    parser.add_argument("--data-dir", type=Path, default=load_settings().data_dir)
    given = parser.parse_args(arguments)
    try:
        rows = list(prepared.contents(given.data_dir / "sft" / "welfare_qa" / "train.jsonl.gz"))
        prepared.write(given.out, prepare(rows), explored(rows))
    except ConfigError as error:
        sys.stderr.write(f"training.examples.welfare: {error}\n")
        return 2
    print((given.out / "eda.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
