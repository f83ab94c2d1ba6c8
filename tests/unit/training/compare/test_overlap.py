"""Overlap of words: against values by hand, and against sacrebleu's own corpus score."""

from __future__ import annotations

import pytest

pytest.importorskip("kiwipiepy")
pytest.importorskip("sacrebleu")
from sacrebleu.metrics.bleu import BLEU

from shared.text.morphemes import morphemes, nouns
from training.compare.embedders import LetterEmbedder, cosine
from training.compare.intervals import interval
from training.compare.overlap import bleu, longest_common, rouge

SAID = ["주민센터에서 신청하세요.", "모르겠어요.", ""]
WANTED = ["가까운 주민센터에서 신청하시면 돼요!", "복지로에서 신청하세요.", "네, 받을 수 있어요."]


def value(measured: object) -> float:
    return interval(measured, 1, 100).value  # type: ignore[arg-type]  # a Measured, whatever it counts


def test_morphemes_are_stems_and_endings_without_punctuation() -> None:
    first, other = morphemes("신청은 어떻게 해요?"), morphemes("신청을, 어떻게 해요")

    assert "신청/NNG" in first and "신청/NNG" in other
    assert not any(each.startswith("?") for each in first)


def test_nouns_that_are_written_together_are_one() -> None:
    assert nouns("주민센터에서 기초생활수급자를 만나요.") == ["주민센터", "기초생활수급자"]


@pytest.mark.parametrize(
    ("one", "other", "length"), [("abcde", "ace", 3), ("abc", "cba", 1), ("", "abc", 0), ("가나다", "가나다", 3)]
)
def test_longest_common_subsequence(one: str, other: str, length: int) -> None:
    assert longest_common(one, other) == length


def test_rouge_is_one_for_the_same_words_and_nought_for_none() -> None:
    same, none = rouge(WANTED[:1], WANTED[:1]), rouge([""], WANTED[:1])

    assert {value(measured) for measured in same.values()} == {1.0}
    assert {value(measured) for measured in none.values()} == {0.0}


def test_rouge_counts_a_stem_though_its_particle_is_another() -> None:
    found = rouge(["신청은 여기서"], ["신청을 여기서"])

    shared = {*morphemes("신청은 여기서")} & {*morphemes("신청을 여기서")}
    assert value(found["ROUGE-1"]) == pytest.approx(len(shared) / len(morphemes("신청은 여기서")))


def test_bleu_is_what_sacrebleu_says_of_the_corpus() -> None:
    wanted = BLEU(tokenize="ko-mecab").corpus_score(SAID, [WANTED]).score

    assert value(bleu(SAID, WANTED)) == pytest.approx(wanted)
    assert value(bleu(WANTED, WANTED)) == pytest.approx(100)


def test_cosine_by_letters_knows_nearer_from_farther() -> None:
    near, far = (value(cosine([said], WANTED[:1], LetterEmbedder())) for said in (SAID[0], SAID[1]))

    assert 1 > near > far >= 0
    assert value(cosine(WANTED, WANTED, LetterEmbedder())) == pytest.approx(1)
    assert value(cosine([""], WANTED[:1], LetterEmbedder())) == 0
