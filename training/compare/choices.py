"""Questions with answers to choose from, out of the data folder's eval/: who writes the right one most readily?

Each choice stands as the assistant's turn, and the model's choice is the one that costs it least, per byte of its text,
so that short ones have no advantage (lm-evaluation-harness calls that acc_norm, arXiv:2405.14782). It shows what a
model knows even if it cannot keep to a format. Open questions have answers of their neighbours to choose from beside
their own. These rows are never trained on.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import ConfigError
from training.compare.intervals import Measured, mean_of
from training.data.files import raw_rows
from training.tune import rows
from training.tune.measure import costs

_OTHERS = 3  # wrong answers beside an open question's right one


@dataclass(frozen=True, slots=True)
class Question:
    """One of a set."""

    text: str
    choices: tuple[str, ...]
    right: int  # its place in them


def questions(name: str, data_dir: Path, most: int, seed: int) -> list[Question]:
    """Of one set, `most` at most, drawn by the seed. Raises ConfigError: its file is not there."""
    path, read = _SETS[name]
    file = data_dir / "eval" / path
    if not file.is_file():
        raise ConfigError(f"choices: no file {file}; --data-dir says where eval/ is")
    found = list(read([row.content for row in raw_rows(file) if row.fault is None], random.Random(seed)))
    return found if len(found) <= most else random.Random(seed).sample(found, most)


def accuracy(
    model: Any, tokenizer: Any, asked: Sequence[Question], *, instruction: str, batch: int, max_tokens: int
) -> Measured:
    """Share of the questions whose right answer costs least. What is too long for the model counts as wrong."""
    begins = [{"role": "system", "content": instruction}] if instruction else []
    prepared, places = [], []
    for number, question in enumerate(asked):
        for choice in question.choices:
            turns = [{"role": "user", "content": question.text}, {"role": "assistant", "content": choice}]
            row = rows.conversation({"messages": [*begins, *turns]}, tokenizer)
            if len(row["input_ids"]) <= max_tokens:
                prepared.append(row)
                places.append((number, choice))
    found: list[dict[str, float]] = [{} for _ in asked]
    for (number, choice), cost in zip(places, costs(model, tokenizer, prepared, batch), strict=True):
        found[number][choice] = cost.nats / max(1, len(choice.encode()))
    is_right = [
        len(each) == len(set(question.choices)) and min(each, key=each.__getitem__) == question.choices[question.right]
        for question, each in zip(asked, found, strict=True)
    ]
    return mean_of([float(right) for right in is_right])


def _click(found: Sequence[Any], draw: random.Random) -> Iterator[Question]:
    for row in found:
        text = "\n".join(part for part in (row["paragraph"], row["question"]) if part)
        if row["answer"] in row["choices"]:
            yield Question(text, tuple(row["choices"]), row["choices"].index(row["answer"]))


def _kobbq(found: Sequence[Any], draw: random.Random) -> Iterator[Question]:
    for row in found:
        choices = tuple(ast.literal_eval(row["choices"]))
        yield Question(f"{row['context']}\n{row['question']}", choices, choices.index(row["answer"]))


def _korquad(found: Sequence[Any], draw: random.Random) -> Iterator[Question]:
    for row in found:
        answers = [question["answers"][0]["text"] for question in row["qas"]]
        for question, answer in zip(row["qas"], answers, strict=True):
            yield from _open(f"{row['context']}\n\n{question['question']}", answer, answers, draw)


def _mwp_math(found: Sequence[Any], draw: random.Random) -> Iterator[Question]:
    answers = [row["meta"]["answer"] for row in found]
    for row, answer in zip(found, answers, strict=True):
        yield from _open(row["messages"][0]["content"], answer, answers, draw)


def _klue_nli(found: Sequence[Any], draw: random.Random) -> Iterator[Question]:
    words = {"entailment": "맞아요", "contradiction": "틀려요", "neutral": "알 수 없어요"}
    for row in found:
        text = f"글: {row['premise']}\n이 글에 따르면 다음 말은 맞아요, 틀려요, 알 수 없어요?\n말: {row['hypothesis']}"
        yield Question(text, tuple(words.values()), list(words).index(row["gold_label"]))


def _nsmc(found: Sequence[Any], draw: random.Random) -> Iterator[Question]:
    for row in found:
        text = f"영화평: {row['text']}\n이 영화평은 긍정이에요, 부정이에요?"
        yield Question(text, ("부정", "긍정"), int(row["label"]))


def _open(text: str, answer: str, others: Sequence[str], draw: random.Random) -> Iterator[Question]:
    wrong = sorted(set(others) - {answer})
    if wrong:
        choices = [answer, *draw.sample(wrong, min(_OTHERS, len(wrong)))]
        draw.shuffle(choices)
        yield Question(text, tuple(choices), choices.index(answer))


_SETS: dict[str, tuple[str, Callable[[Sequence[Any], random.Random], Iterator[Question]]]] = {
    "click": ("click/test.jsonl.gz", _click),
    "kobbq": ("kobbq/test.jsonl.gz", _kobbq),
    "korquad": ("korquad1_dev/KorQuAD_v1.0_dev.jsonl.gz", _korquad),
    "klue_nli": ("klue/nli_dev.jsonl.gz", _klue_nli),
    "nsmc": ("nsmc/test.jsonl.gz", _nsmc),
    "mwp_math": ("mwp_math/test.jsonl.gz", _mwp_math),
}
