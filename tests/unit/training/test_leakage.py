"""What we test with is found in the training data, however it got there."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from training.data.formats import conversation_of, read_conversations
from training.data.known_leaks import known_leaks
from training.data.leakage import EvalText, Leak, Way, find_leaks, load_tests
from training.data.quarantine import Quarantine
from training.data.rows import Conversation, single

QUESTION = "볼록십각형에 대하여 대각선의 개수를 구하시오"
PASSAGE = EvalText(
    "korquad", "지카바이러스가 남성의 생식능력도 저하시킬 수 있다는 동물 실험 결과가 나왔다고 학술지가 밝혔다"
)
TEST = EvalText("mwp", QUESTION)


@pytest.mark.parametrize(
    ("text", "way"),
    [
        (QUESTION, Way.SAME),
        (f" {QUESTION}. ", Way.SAME),
        (f"다음 문제를 풀어 주세요.\n\n{QUESTION}\n\n답:", Way.INSIDE),
    ],
)
@pytest.mark.parametrize("is_answer", [False, True])
def test_a_test_in_a_question_or_an_answer_is_found(text: str, way: Way, is_answer: bool) -> None:
    row = single("s", "뭐라고 했어?", text) if is_answer else single("s", text, "35개예요.")

    assert find_leaks([single("s", "안녕?", "네"), row], [PASSAGE, TEST]) == [Leak(1, way, TEST)]


def test_a_test_with_a_few_other_letters_is_found() -> None:
    row = single("s", PASSAGE.text.replace("밝혔다", "전했다"), "네")

    assert find_leaks([row], [TEST, PASSAGE]) == [Leak(0, Way.NEAR, PASSAGE)]


def test_every_row_with_the_same_turn_is_named() -> None:
    row = Conversation("s", (("user", "안녕?"), ("assistant", "네"), ("user", QUESTION), ("assistant", "35")))

    assert [leak.row for leak in find_leaks([row, single("s", "응", "네"), row], [TEST])] == [0, 2]


def test_words_that_anybody_says_are_no_leak() -> None:
    tests = [EvalText("chat", "오늘 날씨가 참 좋네요 그렇죠")]

    assert find_leaks([single("s", "안녕하세요?", "오늘 날씨가 좋아요.")], tests) == []
    assert find_leaks([single("s", QUESTION, "35")], []) == []


def test_texts_of_a_set_are_read_however_deep_and_once(tmp_path: Path) -> None:
    row = {"id": "a very long name of a row", "answer": "짧아요", "turns": [{"content": QUESTION}, QUESTION + "."]}
    (tmp_path / "math").mkdir()
    (tmp_path / "math" / "test.jsonl.gz").write_bytes(gzip.compress((json.dumps(row) + "\n{").encode()))
    (tmp_path / "math" / "LICENSE").write_text("a licence is no test text")

    assert load_tests(tmp_path) == [EvalText("math/test", QUESTION)]


def test_a_folder_without_sets_gives_none(tmp_path: Path) -> None:
    assert load_tests(tmp_path / "eval") == []


@pytest.mark.data
def test_a_row_of_the_evaluation_folder_is_found_among_all_of_it(data_dir: Path) -> None:
    eval_dir = data_dir / "eval"
    with gzip.open(eval_dir / "mwp_math" / "test.jsonl.gz", "rt", encoding="utf-8") as lines:
        row = conversation_of(json.loads(next(lines)), "s")

    leaks = find_leaks([row], load_tests(eval_dir))

    assert [(leak.way, leak.test.set_name) for leak in leaks] == [(Way.SAME, "mwp_math/test")]


@pytest.mark.data
def test_known_leaks_are_all_that_leak_from_everyday_talk(data_dir: Path) -> None:
    """Its questions are found in eval/question_pair; the other sets have none of it."""
    with Quarantine() as quarantine:
        path = data_dir / "sft" / "songys_chatbot" / "train.jsonl.gz"
        rows = [row for _, row in read_conversations(path, quarantine)]

    leaks = find_leaks(rows, load_tests(data_dir / "eval" / "question_pair"))

    assert {rows[leak.row].id for leak in leaks} == known_leaks()
    assert len(known_leaks()) == 42
