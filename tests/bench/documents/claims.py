"""Whether passages bear a claim out, asked where it is known: claims made of KorQuAD's questions and answers, sentences
of its passages, and KLUE's pairs of sentences of which one follows, contradicts, or does neither."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from shared.text.claims import WORDS_FROM, Wording, borne_out_by
from shared.text.morphemes import analysed
from tests.bench.documents.korquad import Question

_COUNT = 500
_SENTENCE_END = re.compile(r"(?<=다\.)\s")


def claims_found(passages: Sequence[str], questions: Sequence[Question], data: Path, seed: int) -> dict[str, Any]:
    """Shares of claims that a passage bears out. `data`: NUNMAL_DATA_DIR."""
    chance = random.Random(f"{seed} claims")
    asked = chance.sample(list(questions), min(_COUNT, len(questions)))
    counted: Counter[str] = Counter()
    for at, question in enumerate(asked):
        other = asked[(at + 1) % len(asked)]
        beside = question.passage + 1 if question.passage + 1 < len(passages) else question.passage - 1
        own, neighbour = passages[question.passage], passages[beside]
        claims = {
            "right": (_claim(question, question.answer), own),
            "another_answer": (_claim(question, other.answer), own),
            "right_but_of_the_next_passage": (_claim(question, question.answer), neighbour),
            "own_sentence": (chance.choice(_SENTENCE_END.split(own)), own),
            "sentence_of_the_next_passage": (chance.choice(_SENTENCE_END.split(neighbour)), own),
        }
        counted.update(name for name, (claim, text) in claims.items() if _is_borne_out(claim, question.text, text))
        counted.update(f"{name} of" for name in claims)
    shares = {name: counted[name] / counted[f"{name} of"] for name in list(counted) if not name.endswith(" of")}
    return {"words_from": WORDS_FROM, "questions": len(asked), "korquad": shares, "klue_nli": _nli(data, chance)}


def _claim(question: Question, answer: str) -> str:
    """As an answer would say it."""
    return f"{question.text.rstrip(' ?')} {answer}입니다."


def _nli(data: Path, chance: random.Random) -> dict[str, float]:
    """By what people say of the pair."""
    with gzip.open(data / "eval" / "klue" / "nli_dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = chance.sample([json.loads(line) for line in lines], 2 * _COUNT)
    of = Counter(row["gold_label"] for row in rows)
    found = Counter(row["gold_label"] for row in rows if _is_borne_out(row["hypothesis"], "", row["premise"]))
    return {label: found[label] / of[label] for label in sorted(of)}


def _is_borne_out(claim: str, question: str, passage: str) -> bool:
    return bool(borne_out_by(_wording(claim), (), _wording(question), [_wording(passage)]))


@cache
def _wording(text: str) -> Wording:
    return Wording.of(text, analysed(text))
