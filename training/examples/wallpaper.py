"""Worked example 1, a task with 604 rows: what is wrong with the wallpaper? (DACON, research use only: nothing of it is
committed, and no adapter of it is published.)

Each row has two questions that ask the same and five answers. Rows are split, never questions, so no held-out question
has a paraphrase among those that are learned. Augmentation: every question with every answer; and since a fifth
of the test questions ask two things at once ("…? 또한, …?"), pairs of rows joined the same way.

How to run:
    python -m training.examples.wallpaper --out var/training/wallpaper
    python -m training.tune --config training/recipes/tune/wallpaper_query_only.yaml
    python -m training.compare --config training/recipes/compare/wallpaper.yaml
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.errors import ConfigError
from shared.settings import load_settings
from training.data.near import nearest
from training.examples import prepared

INSTRUCTION = "당신은 도배와 마감재 하자를 상담하는 전문가예요. 원인과 해결 방법을 정확하고 짧게 설명해 주세요."
_JOINED = " 또한, "
_HELD_OUT = 0.15
_HELD_OUT_PAIRS = 40


def prepare(rows: Sequence[dict[str, Any]], pairs: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """`train` with its augmentation; `held_out`: the first question and answer of unseen rows, some joined; `asked`:
    the same without the instruction, which a comparison gives or keeps back."""
    learned = [row for row in rows if not prepared.is_held_out(row["id"], _HELD_OUT)]
    unseen = [row for row in rows if prepared.is_held_out(row["id"], _HELD_OUT)]
    train = [
        prepared.row_of(f"{row['id']}-{asked}-{said}", question, answer, INSTRUCTION)
        for row in learned
        for asked, question in enumerate(row["questions"])
        for said, answer in enumerate(row["answers"])
    ]
    held_out = [prepared.row_of(row["id"], row["questions"][0], row["answers"][0], INSTRUCTION) for row in unseen]
    draw = random.Random(seed)
    train += _joined(learned, pairs, draw)
    held_out += _joined(unseen, min(_HELD_OUT_PAIRS, len(unseen)), draw)
    asked = [row | {"messages": row["messages"][1:]} for row in held_out]
    return {"train": train, "held_out": held_out, "asked": asked}


def explored(rows: Sequence[dict[str, Any]], asked: Sequence[str]) -> list[str]:
    """What there is to know before training: categories, near doubles across rows, and how tests ask."""
    questions = [row["questions"][0] for row in rows]
    near = sum(match is not None for match in nearest(questions))
    twice = sum(_JOINED.strip() in question for question in asked)
    facts = [
        f"- {len(rows)} rows, each with {len(rows[0]['questions'])} questions and {len(rows[0]['answers'])} answers",
        f"- {near} rows ask nearly what an earlier one asks",
        f"- {twice} of {len(asked)} test questions ask two things at once (또한); no row does",
    ]
    return ["# Wallpaper defects", "", *facts, *prepared.counted("category", Counter(row["category"] for row in rows))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns: the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of train, held_out and asked.jsonl, and eda.md")
    parser.add_argument("--pairs", type=int, default=1000, help="joined questions to learn from")
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--data-dir", type=Path, default=load_settings().data_dir)
    given = parser.parse_args(arguments)
    folder = given.data_dir / "sft" / "wallpaper_dacon"
    try:
        rows = list(prepared.contents(folder / "train_grouped.jsonl.gz"))
        asked = [row["질문"] for row in prepared.contents(folder / "test_questions.jsonl.gz")]
        prepared.write(given.out, prepare(rows, given.pairs, given.seed), explored(rows, asked))
    except ConfigError as error:
        sys.stderr.write(f"training.examples.wallpaper: {error}\n")
        return 2
    print((given.out / "eda.md").read_text(encoding="utf-8"))
    return 0


def _joined(rows: Sequence[dict[str, Any]], count: int, draw: random.Random) -> list[dict[str, Any]]:
    """Two rows as one: both questions, and both answers in order."""
    made = []
    for number in range(count if len(rows) > 1 else 0):
        one, other = draw.sample(rows, 2)
        question = _JOINED.join(draw.choice(row["questions"]) for row in (one, other))
        answer = "\n\n".join(draw.choice(row["answers"]) for row in (one, other))
        made.append(prepared.row_of(f"{one['id']}+{other['id']}-{number}", question, answer, INSTRUCTION))
    return made


if __name__ == "__main__":
    sys.exit(main())
