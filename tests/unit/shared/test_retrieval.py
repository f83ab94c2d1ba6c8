"""Retrieval on a handful of passages whose order everybody can see."""

from __future__ import annotations

import numpy as np
import pytest

from shared.text.embedding import HashedNgrams
from shared.text.retrieval import ANSWERS_FROM, Hit, PassageIndex, Question, Vectors, pairs

_EMBEDDER = HashedNgrams(256)
PASSAGES = {
    "버들 하천의 길이는 42킬로미터이다": ["버들", "하천", "길이", "42", "킬로미터"],
    "솔바람 축제는 시월에 열린다": ["솔바람", "축제", "시월", "열리다/"],
    "도서관은 시월에 쉰다": ["도서관", "시월", "쉬다/"],
}


def index() -> PassageIndex:
    vectors = Vectors.of(_EMBEDDER, _EMBEDDER.embed_documents(list(PASSAGES)))
    return PassageIndex(list(PASSAGES), list(PASSAGES.values()), vectors)


def asked(text: str, *stems: str) -> Question:
    return Question(text, stems, _EMBEDDER.embed_query(text))


def test_the_passage_with_the_rare_words_comes_first() -> None:
    hits = index().search(asked("시월의 축제", "시월", "축제"), 3)

    assert [hit.place for hit in hits][:2] == [1, 2]
    assert hits[0].coverage == pytest.approx(1.0)
    assert 0 < hits[1].coverage < hits[0].coverage


def test_of_equal_words_those_that_stand_together_come_first() -> None:
    apart = ["축제", *(f"말{number}" for number in range(20)), "시월"]
    together = [*(f"말{number}" for number in range(20)), "시월", "축제"]
    both = PassageIndex(["가", "나"], [apart, together])

    assert [hit.place for hit in both.search(asked("?", "시월", "축제"), 2)] == [1, 0]


def test_among_many_the_best_are_those_that_a_full_sort_would_give() -> None:
    stems = [[f"말{number % 50}", f"글{number}"] for number in range(200)]
    many = PassageIndex(["?"] * 200, stems)

    assert {hit.place for hit in many.search(asked("?", "말7"), 4)} == {7, 57, 107, 157}


def test_spelling_finds_what_the_analyser_misread() -> None:
    (hit,) = index().search(asked("솔바람축재", "솔", "바람축재"), 1)

    assert hit.place == 1


def test_a_question_about_something_else_covers_too_little() -> None:
    hits = index().search(asked("양자 컴퓨터는 시월에 나오나", "양자", "컴퓨터", "시월", "나오다/"), 3)

    assert max(hit.certainty for hit in hits) < ANSWERS_FROM


def test_words_of_asking_weigh_no_more_than_others() -> None:
    (hit,) = index().search(asked("하천 길이가 얼마나", "하천", "길이", "얼마나"), 1)

    assert hit.coverage == pytest.approx(2 / 3)


def test_a_question_without_a_word_covers_nothing() -> None:
    hits = index().search(asked("?"), 2)

    assert [hit.coverage for hit in hits] == [0.0, 0.0]


def test_nothing_is_found_in_nothing() -> None:
    assert PassageIndex([], []).search(asked("하천", "하천"), 3) == []
    assert len(PassageIndex(["?"], [[]]).search(asked("하천", "하천"), 3)) == 1


def test_vectors_that_know_meaning_find_what_shares_no_word() -> None:
    numbers = np.zeros((60, 3), np.float16)
    numbers[:, 0], numbers[59] = 1, [0, 1, 0]
    stems = [[f"말{number}"] for number in range(60)]
    meant = Question("나들이", ["나들이"], np.array([0, 1, 0], np.float32))

    def first(vectors: Vectors | None) -> Hit:
        return PassageIndex([f"글{number}" for number in range(60)], stems, vectors).search(meant, 1)[0]

    assert (first(Vectors(numbers, 1.0, know_meaning=True)).place, first(Vectors(numbers, 1.0)).place) == (59, 0)
    assert first(Vectors(numbers, 1.0, know_meaning=True)).cosine == pytest.approx(1.0)
    assert first(None).cosine == 0.0
    other = Vectors(np.ones((60, 2), np.float16), 1.0, know_meaning=True)
    assert first(other).cosine == 0.0, "vectors of another size are not compared"


def test_limits_are_kept() -> None:
    assert len(index().search(asked("시월", "시월"), 2)) == 2


def test_pairs_stay_within_words() -> None:
    assert pairs("가나다 A1, b") == ["가나", "나다", "a1", "b"]


def test_vectors_have_length_one_and_forgive_endings() -> None:
    vectors = _EMBEDDER.embed_documents(["하천의 길이", "하천은 길이가", "축제", "?"])

    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1.0, 1.0, 1.0, 0.0])
    assert vectors[0] @ vectors[1] > 2 * abs(vectors[0] @ vectors[2])
