"""Rows of others become one kind of conversation; rows that cannot go to the quarantine with a reason."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from training.data.formats import conversation_of, read_conversations, source_of
from training.data.quarantine import BadRow, Quarantine, Reason
from training.data.rows import Conversation, Vote

ASK, SAY = {"role": "user", "content": "안녕?"}, {"role": "assistant", "content": "안녕하세요."}
VOTE = {"id": "g1", "turns": [ASK], "answer": "안녕하세요.", "vote": "up", "reason": "친절해요", "consent": True}
TURNS = (("user", "안녕?"), ("assistant", "안녕하세요."))


def _spoken(*turns: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"conversations": [{"from": speaker, "value": said} for speaker, said in turns], **more}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"instruction": "안녕?", "output": "안녕하세요.", "url": "x"}, Conversation("s", TURNS)),
        ({"instruction": "안녕?", "input": None, "output": " 안녕하세요.\r\n"}, Conversation("s", TURNS)),
        (
            {"id": "dolly_12", "instruction": "요약해 줘.", "input": "긴 글", "output": "글"},
            Conversation("s", (("user", "요약해 줘.\n\n긴 글"), ("assistant", "글")), "dolly", "dolly_12"),
        ),
        (_spoken(("human", "안녕?"), ("gpt", "안녕하세요."), id=7), Conversation("s", TURNS, id="7")),
        (
            _spoken(("system", "짧게."), ("user", "안녕?"), ("assistant", "안녕하세요.")),
            Conversation("s", (("system", "짧게."), *TURNS)),
        ),
        (
            _spoken(("human", "<image>\n안녕?"), ("gpt", "안녕하세요."), image="a/1.png"),
            Conversation("s", TURNS, pictures=("a/1.png",)),
        ),
        (
            _spoken(("human", "안녕?<image><image>"), ("gpt", "안녕하세요."), image=["1.png", "2.png"]),
            Conversation("s", TURNS, pictures=("1.png", "2.png")),
        ),
        ({"messages": [ASK, SAY], "source": "t", "task": "chat", "meta": {}}, Conversation("t", TURNS, "chat")),
        (VOTE, Conversation("s", TURNS, id="g1", vote=Vote("up", "친절해요"))),
        (
            VOTE | {"vote": "better", "rejected": "몰라"},
            Conversation("s", TURNS, id="g1", vote=Vote("better", "친절해요", "몰라")),
        ),
    ],
    ids=["koalpaca", "null_input", "kullm", "sharegpt", "system", "llava", "llava_two", "messages", "vote", "compared"],
)
def test_each_shape_is_read(row: dict[str, Any], expected: Conversation) -> None:
    assert conversation_of(row, "s") == expected


def test_decomposed_hangul_is_composed() -> None:
    found = conversation_of({"instruction": "\u1112\u1161\u11ab", "output": "네"}, "s")

    assert found.turns[0] == ("user", "한")


def test_a_picture_mark_without_pictures_is_text() -> None:
    found = conversation_of(_spoken(("human", "<image> 태그가 뭐야?"), ("gpt", "그림이에요.")), "s")

    assert found.turns[0] == ("user", "<image> 태그가 뭐야?")


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ("글", Reason.UNKNOWN_SHAPE, "not str"),
        (None, Reason.UNKNOWN_SHAPE, "not NoneType"),
        ({"질문": "?"}, Reason.UNKNOWN_SHAPE, "질문"),
        ({"instruction": "안녕?"}, Reason.BAD_FIELD, "output: Field required"),
        ({"instruction": "안녕?", "output": 3}, Reason.BAD_FIELD, "output: Input should be a valid string"),
        ({"instruction": " ", "output": "네"}, Reason.EMPTY_TURN, "user"),
        ({"instruction": "안녕?", "output": "\n"}, Reason.EMPTY_TURN, "assistant"),
        ({"instruction": "안녕\x00?", "output": "네"}, Reason.BROKEN_TEXT, "NUL"),
        ({"instruction": "안녕?", "output": "\ud800"}, Reason.BROKEN_TEXT, "surrogate"),
        ({"messages": [ASK, {"role": "assistant"}]}, Reason.BAD_FIELD, r"messages\.1\.content"),
        ({"messages": []}, Reason.WRONG_ORDER, "no turns"),
        ({"messages": [ASK]}, Reason.WRONG_ORDER, "user"),
        ({"messages": [SAY, ASK]}, Reason.WRONG_ORDER, "assistant user"),
        ({"messages": [ASK, SAY, {"role": "system", "content": "x"}]}, Reason.WRONG_ORDER, "assistant system"),
        ({"messages": [{"role": "robot", "content": "x"}, SAY]}, Reason.UNKNOWN_ROLE, "robot"),
        (_spoken(("human", "안녕?"), ("gpt", "네"), image="1.png"), Reason.PICTURES_DIFFER, "0 marks"),
        (_spoken(("gpt", "<image>"), ("gpt", "네"), image="1.png"), Reason.PICTURES_DIFFER, "0 marks"),
        (_spoken(("human", "<image>"), ("gpt", "네"), image="1.png"), Reason.EMPTY_TURN, "user"),
        ({**VOTE, "vote": "meh"}, Reason.BAD_FIELD, "vote: Input should be 'up', 'down' or 'better'"),
        ({**VOTE, "vote": "better"}, Reason.BAD_FIELD, "better than another"),
        ({**VOTE, "rejected": "몰라"}, Reason.BAD_FIELD, "better than another"),
        ({**VOTE, "consent": False}, Reason.NO_CONSENT, "did not agree"),
        ({**VOTE, "consent": "true"}, Reason.NO_CONSENT, "did not agree"),
        ({key: value for key, value in VOTE.items() if key != "consent"}, Reason.NO_CONSENT, "did not agree"),
    ],
)
def test_a_bad_row_says_why(row: Any, reason: Reason, detail: str) -> None:
    with pytest.raises(BadRow, match=detail) as caught:
        conversation_of(row, "s")

    assert caught.value.reason is reason


def test_bad_rows_are_counted_and_written_down_as_they_stood(tmp_path: Path) -> None:
    path, out = tmp_path / "rows.jsonl", tmp_path / "q" / "bad.jsonl"
    path.write_bytes(
        b'{"instruction": "a", "output": "b"}\n{"instruction": "a"}\nx\n{"instruction": "\xff", "output": "b"}\n'
    )

    with Quarantine(out) as quarantine:
        rows = list(read_conversations(path, quarantine))

    assert [number for number, _ in rows] == [1]
    written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(fact["row"], fact["reason"]) for fact in written] == [
        (2, "bad_field"),
        (3, "not_json"),
        (4, "broken_text"),
    ]
    assert written[0]["content"] == '{"instruction": "a"}'
    assert quarantine.of_file(path).total() == 3


def test_what_nobody_agreed_to_is_counted_and_not_kept(tmp_path: Path) -> None:
    path, out = tmp_path / "votes.jsonl", tmp_path / "bad.jsonl"
    path.write_text(json.dumps({**VOTE, "answer": "비밀", "consent": False}, ensure_ascii=False), encoding="utf-8")

    with Quarantine(out) as quarantine:
        assert list(read_conversations(path, quarantine)) == []

    assert "비밀" not in out.read_text(encoding="utf-8")
    assert quarantine.of_file(path) == {Reason.NO_CONSENT: 1}


def test_an_earlier_quarantine_goes_when_all_rows_are_good(tmp_path: Path) -> None:
    path, out = tmp_path / "rows.json.gz", tmp_path / "bad.jsonl"
    path.write_bytes(gzip.compress(json.dumps([{"messages": [ASK, SAY]}]).encode()))
    out.write_text("old")

    with Quarantine(out) as quarantine:
        assert len(list(read_conversations(path, quarantine))) == 1

    assert not out.exists()


@pytest.mark.parametrize(
    ("path", "name"), [("welfare_qa/train.jsonl.gz", "welfare_qa"), ("x/KoAlpaca_v1.1a.json", "KoAlpaca_v1.1a")]
)
def test_a_source_is_named_by_its_file_or_its_folder(path: str, name: str) -> None:
    assert source_of(Path(path)) == name


@pytest.mark.data
@pytest.mark.parametrize(
    ("path", "rows", "bad"), [("koalpaca_v1_subset", 11228, 0), ("welfare_qa", 9547, 0), ("songys_chatbot", 11823, 0)]
)
def test_the_data_folder_is_read_whole(path: str, rows: int, bad: int, data_dir: Path) -> None:
    with Quarantine() as quarantine:
        found = list(read_conversations(data_dir / "sft" / path / "train.jsonl.gz", quarantine))

    assert (len(found), quarantine.counts.total()) == (rows, bad)
