"""Questions of every set become choices, and the cheapest one per byte is the model's."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from shared.errors import ConfigError
from tests.tiny_models import tiny_model, tiny_tokenizer
from training.compare import choices
from training.compare.choices import Question
from training.compare.intervals import interval
from training.compare.recipe import CompareRecipe
from training.tune.measure import costs
from training.tune.rows import conversation

ROWS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "click": (
        "click/test.jsonl.gz",
        [
            {"paragraph": "글", "question": "몇 년?", "choices": ["1999년", "2001년"], "answer": "2001년"},
            {"paragraph": "", "question": "답이 없는 것", "choices": ["1999년"], "answer": "2002년"},
        ],
    ),
    "kobbq": (
        "kobbq/test.jsonl.gz",
        [{"context": "둘이 왔다.", "question": "누가?", "choices": "['손자', '알 수 없음']", "answer": "알 수 없음"}],
    ),
    "korquad": (
        "korquad1_dev/KorQuAD_v1.0_dev.jsonl.gz",
        [
            {
                "context": "1989년 임수경이 갔다.",
                "qas": [
                    {"question": "언제?", "answers": [{"text": "1989년"}]},
                    {"question": "누가?", "answers": [{"text": "임수경"}]},
                ],
            }
        ],
    ),
    "klue_nli": (
        "klue/nli_dev.jsonl.gz",
        [{"premise": "발코니에서 피울 수 있다.", "hypothesis": "금지다.", "gold_label": "contradiction"}],
    ),
    "nsmc": ("nsmc/test.jsonl.gz", [{"text": "재미있다", "label": 1}]),
    "mwp_math": (
        "mwp_math/test.jsonl.gz",
        [
            {"messages": [{"role": "user", "content": f"{number} 더하기 1은?"}], "meta": {"answer": str(number + 1)}}
            for number in range(3)
        ],
    ),
}


def padding_tokenizer() -> Any:
    """As a folder's is opened."""
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    for path, found in ROWS.values():
        file = tmp_path / "eval" / path
        file.parent.mkdir(parents=True)
        file.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in found).encode()))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("click", ["2001년"]),
        ("kobbq", ["알 수 없음"]),
        ("korquad", ["1989년", "임수경"]),
        ("klue_nli", ["틀려요"]),
        ("nsmc", ["긍정"]),
        ("mwp_math", ["1", "2", "3"]),
    ],
)
def test_every_set_knows_its_right_answers(name: str, right: list[str], data_folder: Path) -> None:
    found = choices.questions(name, data_folder, most=10, seed=1)

    assert [question.choices[question.right] for question in found] == right
    assert all(len(set(question.choices)) > 1 for question in found)


def test_all_sets_of_recipes_are_known() -> None:
    field: Any = CompareRecipe.model_fields["choices"].annotation

    assert set(get_args(get_args(field)[0])) == set(ROWS)


def test_questions_are_drawn_by_the_seed(data_folder: Path) -> None:
    drawn = [choices.questions("mwp_math", data_folder, most=2, seed=seed) for seed in (1, 1, 2, 3, 4)]

    assert drawn[0] == drawn[1]
    assert any(drawn[0] != other for other in drawn[2:])
    with pytest.raises(ConfigError, match=r"no file .*test\.jsonl\.gz"):
        choices.questions("click", data_folder / "nowhere", 1, 1)


def test_the_choice_is_the_one_that_costs_least_per_byte() -> None:
    model, tokenizer = tiny_model(), padding_tokenizer()
    options = ("네", "감사합니다. 참 좋네요.", "아니요")
    rows = [
        conversation(
            {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": option}]}, tokenizer
        )
        for option in options
    ]
    per_byte = [
        cost.nats / len(option.encode()) for cost, option in zip(costs(model, tokenizer, rows, 1), options, strict=True)
    ]
    cheapest = per_byte.index(min(per_byte))

    found = [
        interval(
            choices.accuracy(
                model, tokenizer, [Question("?", options, right)], instruction="", batch=2, max_tokens=100
            ),
            1,
            100,
        ).value
        for right in range(3)
    ]

    assert found == [float(right == cheapest) for right in range(3)]


def test_what_is_too_long_counts_as_wrong() -> None:
    asked = [Question("?", ("네", "아니요 " * 40), 0)]

    measured = choices.accuracy(
        tiny_model(), padding_tokenizer(), asked, instruction="짧게 답해요", batch=2, max_tokens=60
    )

    assert measured.counts.tolist() == [[0.0, 1.0]]


def test_costs_are_those_of_the_model_itself_in_any_batch() -> None:
    model, tokenizer = tiny_model(), padding_tokenizer()
    rows = [{"input_ids": [2, *range(5, 5 + length)], "labels": [-100, *range(5, 5 + length)]} for length in (9, 3, 20)]

    alone, together = (costs(model, tokenizer, rows, batch) for batch in (1, 3))

    assert [cost.tokens for cost in together] == [9, 3, 20]
    assert [cost.nats for cost in together] == pytest.approx([cost.nats for cost in alone], rel=1e-4)
    for row, cost in zip(rows, together, strict=True):
        said: Any = model(input_ids=torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]]))
        assert cost.nats == pytest.approx(said.loss.item() * cost.tokens, rel=1e-4)
