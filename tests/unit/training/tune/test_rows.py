"""What is learned of a row, and why a row is left out."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from shared.chat import Message, Role
from shared.errors import ConfigError
from shared.prompting import prompt_ids
from tests.tiny_models import tiny_tokenizer
from tests.tune_runs import CHATS, PAIRS, TEXTS, stage, write_lines
from training.data.known_leaks import known_leaks
from training.tune import rows
from training.tune.recipe import Data, Stage

CHAT = [
    {"role": "user", "content": "안녕하세요"},
    {"role": "assistant", "content": "반갑습니다."},
    {"role": "user", "content": "<|end|>라고 쓰면?"},
    {"role": "assistant", "content": "글자로 읽어요."},
]


@pytest.fixture
def without_template() -> Any:
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.chat_template = None
    return tokenizer


def learned(row: dict[str, Any], tokenizer: Any) -> list[str]:
    """The texts of learned tokens, a piece for every run of them."""
    pieces: list[list[int]] = []
    before = rows.IGNORED
    for label in row["labels"]:
        if label != rows.IGNORED:
            if before == rows.IGNORED:
                pieces.append([])
            pieces[-1].append(label)
        before = label
    return [tokenizer.decode(piece) for piece in pieces]


def prompt(turns: list[dict[str, str]], tokenizer: Any) -> list[int]:
    return prompt_ids([Message(Role(turn["role"]), turn["content"]) for turn in turns], tokenizer)


def test_answers_and_their_ends_are_learned_and_nothing_else() -> None:
    row = rows.conversation({"messages": CHAT}, tiny_tokenizer())

    assert learned(row, tiny_tokenizer()) == ["반갑습니다.<|end|>", "글자로 읽어요.<|end|>"]


def test_without_a_template_turns_have_labels_and_the_last_answer_an_end(without_template: Any) -> None:
    row = rows.conversation({"messages": CHAT}, without_template)

    assert learned(row, without_template) == [" 반갑습니다.\n", " 글자로 읽어요.<|end|>"]


@pytest.mark.parametrize("has_template", [True, False])
def test_what_is_not_learned_is_the_prompt_that_serves(has_template: bool, without_template: Any) -> None:
    tokenizer = tiny_tokenizer() if has_template else without_template
    row = rows.conversation({"messages": CHAT[:2]}, tokenizer)

    served = prompt(CHAT[:1], tokenizer)

    assert row["input_ids"][: len(served)] == served
    assert row["labels"][: len(served)] == [rows.IGNORED] * len(served)
    assert rows.IGNORED not in row["labels"][len(served) :]


def test_a_template_that_rewrites_earlier_answers_teaches_the_last_one() -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.chat_template = (
        "{% for message in messages %}<|{{ message.role }}|>"
        "{% if message.role == 'assistant' and loop.last %}(생각){% endif %}{{ message.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )

    assert learned(rows.conversation({"messages": CHAT}, tokenizer), tokenizer) == ["(생각)글자로 읽어요.<|end|>"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "no messages"),
        ({"messages": CHAT[:1]}, "the last turn is not an answer"),
        ({"messages": CHAT[1:]}, "the first turn is an answer"),
        ({"messages": [{"role": "user", "content": " "}, CHAT[1]]}, "a turn is empty"),
        ({"messages": [{"role": "robot", "content": "?"}, CHAT[1]]}, "a turn has no known role"),
        ({"messages": [{"role": "user", "content": "\ud800"}, CHAT[1]]}, "message_invalid"),
        ({"messages": [CHAT[0], {"role": "assistant", "content": "네 " * 200}]}, "longer than max_tokens"),
    ],
)
def test_a_row_that_teaches_nothing_is_counted_with_its_reason(row: dict[str, Any], reason: str) -> None:
    refused = rows.Refused()

    made = rows.prepare([row, {"messages": CHAT}], "sft", tiny_tokenizer(), 100, refused)

    assert len(made) == 1
    assert refused.reasons == {reason: 1}


def test_a_row_that_gives_a_test_away_is_not_learned() -> None:
    refused = rows.Refused()
    leaking = {"id": min(known_leaks()), "messages": CHAT}

    made = rows.prepare([leaking, {"id": "songys_chatbot-0", "messages": CHAT}], "sft", tiny_tokenizer(), 100, refused)

    assert len(made) == 1
    assert refused.reasons == {"gives a test away": 1}


def test_texts_are_packed_whole_between_beginning_and_end() -> None:
    refused = rows.Refused()

    pieces = rows.packed([*TEXTS[:3], {"text": ""}], tiny_tokenizer(), 25, refused)

    ids = [token for piece in pieces for token in piece["input_ids"]]
    said = "".join(f"<|begin|>{row['text']}<|end|>" for row in TEXTS[:3])
    assert tiny_tokenizer().decode(ids) == said
    assert all(len(piece["input_ids"]) <= 25 and piece["labels"] == piece["input_ids"] for piece in pieces)
    assert refused.reasons == {"no text": 1}


def test_a_preference_is_between_two_different_answers() -> None:
    refused = rows.Refused()

    made = rows.prepare([PAIRS[0], PAIRS[1] | {"rejected": "반갑습니다."}], "dpo", tiny_tokenizer(), 64, refused)

    assert made[0]["prompt"] == [{"role": "user", "content": "안녕하세요 0"}]
    assert refused.reasons == {"chosen and rejected are the same": 1}


def test_the_same_row_is_never_on_both_sides(tmp_path: Path) -> None:
    write_lines(tmp_path / "chats.jsonl", [*CHATS, *CHATS])

    split = rows.split(Stage.model_validate(stage("sft", "chats")), tmp_path, seed=1)

    texts = [{json.dumps(row) for row in side} for side in (split.learned, split.evaluated)]
    assert texts[0] and texts[1] and not texts[0] & texts[1]
    assert len(split.learned) + len(split.evaluated) == 2 * len(CHATS)


def test_lines_that_are_no_objects_are_rows_that_teach_nothing(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}\nnot json\n[1]\n'))

    assert rows.read(Data(files=(Path("rows.jsonl.gz"),)), tmp_path, 1) == [{"text": "a"}, {}, {}]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file .*rows\.jsonl"):
        rows.read(Data(files=(Path("rows.jsonl"),)), tmp_path, 1)
