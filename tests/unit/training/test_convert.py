"""What is written is what may be learnt: no doubles, nothing personal, no test, nothing that was voted down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.data.convert import main, messages_row, pairs, unwanted
from training.data.formats import conversation_of
from training.data.leakage import EvalText
from training.data.rows import Conversation, Vote, single

QUESTION = "볼록십각형에 대하여 대각선의 개수를 구하시오"
ROWS = [
    single("s", "안녕?", "안녕하세요."),
    single("s", "안녕", "안녕하세요!"),
    single("s", "번호 알려 줘", "010-1234-5678이에요."),
    single("s", QUESTION, "35개예요."),
    Conversation("s", (("user", "뭐가 보여?"), ("assistant", "공이요.")), pictures=("1.png",)),
]


def _voted(answer: str, value: Any, ask: str = "안녕?") -> Conversation:
    return Conversation("s", (("user", ask), ("assistant", answer)), vote=Vote(value))


@pytest.mark.parametrize(
    ("drops", "expected"),
    [
        ([], {4: "pictures"}),
        (["same"], {1: "same", 4: "pictures"}),
        (["near"], {4: "pictures"}),
        (["same", "near", "personal", "leaking"], {1: "same", 2: "personal", 3: "leaking", 4: "pictures"}),
    ],
)
def test_only_what_was_named_is_left_out(drops: list[str], expected: dict[int, str]) -> None:
    assert unwanted(ROWS, drops, [EvalText("mwp", QUESTION)]) == expected


def test_an_answer_that_was_voted_down_is_left_out() -> None:
    assert unwanted([_voted("네", "up"), _voted("몰라", "down")], [], []) == {1: "voted_down"}


def test_a_written_row_is_read_as_the_same_conversation() -> None:
    row = Conversation("s", (("system", "짧게."), ("user", "안녕?"), ("assistant", "네.")), "chat", "7")

    assert conversation_of(messages_row(row), "other") == row


def test_votes_on_answers_to_the_same_turns_make_pairs() -> None:
    rows = [_voted("네", "up"), _voted("몰라", "down"), _voted("네", "up"), _voted("응", "down", ask="왜?"), ROWS[0]]

    assert list(pairs(rows)) == [{"prompt": [{"role": "user", "content": "안녕?"}], "chosen": "네", "rejected": "몰라"}]


def test_an_answer_liked_by_one_and_not_by_another_is_no_pair_with_itself() -> None:
    assert list(pairs([_voted("네", "up"), _voted("네", "down")])) == []


def test_two_that_were_compared_are_one_pair_and_nothing_to_learn() -> None:
    row = Conversation("s", (("user", "안녕?"), ("assistant", "네")), vote=Vote("better", rejected="몰라"))

    assert list(pairs([row, _voted("응", "down")])) == [
        {"prompt": [{"role": "user", "content": "안녕?"}], "chosen": "네", "rejected": "몰라"}
    ]
    assert unwanted([row], [], []) == {0: "compared"}
    personal = Conversation("s", row.turns, vote=Vote("better", rejected="010-1234-5678이에요"))
    assert unwanted([row, personal], ["personal"], []) == {0: "compared", 1: "personal"}


def test_what_points_to_a_person_is_in_no_pair_either(tmp_path: Path) -> None:
    path, out = tmp_path / "votes.jsonl", tmp_path / "rows.jsonl"
    vote = {"turns": [{"role": "user", "content": "안녕?"}], "answer": "네", "vote": "better", "consent": True}
    rows = [vote | {"rejected": "010-1234-5678이에요"}, vote | {"rejected": "몰라"}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    main([str(path), "--out", str(out), "--pairs", str(tmp_path / "pairs.jsonl"), "--drop", "personal"])

    (pair,) = map(json.loads, (tmp_path / "pairs.jsonl").read_text(encoding="utf-8").splitlines())
    assert pair["rejected"] == "몰라"


def test_command_writes_rows_pairs_and_the_quarantine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out, pairs_out = tmp_path / "votes.jsonl", tmp_path / "out" / "rows.jsonl", tmp_path / "pairs.jsonl"
    vote = {"turns": [{"role": "user", "content": "안녕?"}], "reason": "", "consent": True}
    rows = [{**vote, "answer": "네", "vote": "up"}, {**vote, "answer": "몰라", "vote": "down"}, {"vote": "up"}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    main([str(path), "--out", str(out), "--pairs", str(pairs_out)])

    written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["messages"][-1]["content"] for row in written] == ["네"]
    assert json.loads(pairs_out.read_text(encoding="utf-8"))["rejected"] == "몰라"
    assert out.with_suffix(".quarantine.jsonl").is_file()
    assert capsys.readouterr().out == "1 rows, 1 bad ones, left out: {'voted_down': 1}\n1 pairs\n"
