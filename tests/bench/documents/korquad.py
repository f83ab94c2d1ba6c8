"""KorQuAD 1.0's development set (CC BY-ND 2.0 KR): passages of Wikipedia and questions that one of them answers."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    passage: int  # which of the passages answers it
    start: int  # where the answer begins in it, in characters
    answer: str


def korquad(data: Path) -> tuple[list[str], list[Question]]:
    """`data`: NUNMAL_DATA_DIR. Each passage once."""
    with gzip.open(data / "eval" / "korquad1_dev" / "KorQuAD_v1.0_dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    passages: dict[str, int] = {}
    questions = []
    for row in rows:
        number = passages.setdefault(row["context"], len(passages))
        for asked in row["qas"]:
            answer = asked["answers"][0]
            questions.append(Question(asked["question"], number, answer["answer_start"], answer["text"]))
    return list(passages), questions
