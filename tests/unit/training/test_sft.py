"""Padding, joined chats and the rows that are left out."""

from __future__ import annotations

import random

from training.conversations import Encoded
from training.data.mixture import is_worth_learning, join_some, vary
from training.data.rows import single
from training.data.templates import EXACT
from training.sft import collate, stress_opening


def test_padding_stands_on_the_right_and_never_counts() -> None:
    ids, counts = collate([Encoded([1, 2, 3], [0, 1, 1]), Encoded([4], [1])], pad_id=0)

    assert ids.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert counts.tolist() == [[0, 1, 1], [1, 0, 0]]


def test_joining_loses_no_turn() -> None:
    rows = [single("x", f"질문 {i}", f"답 {i}") for i in range(100)]

    joined = join_some(rows, share=0.5, rng=random.Random(0))

    assert sorted(t for r in joined for t in r.turns) == sorted(t for r in rows for t in r.turns)
    assert max(len(r.turns) for r in joined) > 2
    assert sum(len(r.turns) == 2 for r in joined) >= 50


def test_answers_with_invented_details_are_left_out() -> None:
    assert not is_worth_learning(single("welfare_qa", "어디에 전화하나요?", "1350으로 전화하세요."))
    assert not is_worth_learning(single("welfare_qa", "어디인가요?", "www.kr에 있습니다."))


def test_curt_answers_of_the_chat_corpus_are_left_out() -> None:
    assert not is_worth_learning(single("songys_chatbot", "헤어졌어", "똥차 가고 벤츠 올 거예요."))
    assert is_worth_learning(single("songys_chatbot", "감기 기운이 있어", "따뜻하게 쉬세요."))


def test_varied_questions_keep_their_last_word_and_their_answer() -> None:
    rng = random.Random(0)
    row = single("x", "오늘 회사에서 너무 힘들었어요.", "쉬세요.")

    varied = [vary(row, rng).turns for _ in range(300)]

    assert len({turns[0][1] for turns in varied}) > 3
    assert all(turns[0][1].rstrip(".").endswith("힘들었어요") for turns in varied)
    assert all(turns[1] == row.turns[1] for turns in varied)


def test_exact_questions_are_never_varied() -> None:
    rng = random.Random(0)
    row = single("x", "3 더하기 4 는 얼마야.", "7이야.", label=EXACT)

    assert all(vary(row, rng) == row for _ in range(100))


def test_the_opening_of_every_answer_counts_more() -> None:
    row = Encoded(list(range(9)), [0, 0, 1, 1, 1, 0, 0, 1, 1])

    assert stress_opening(row, tokens=2, weight=3).mask == [0, 0, 3, 3, 1, 0, 0, 3, 3]
    assert stress_opening(row, tokens=0, weight=1) == row
