"""What a model is asked for a digest, what of its words may be shown, and what its owner is told of who wrote."""

from __future__ import annotations

import itertools
import json

import jsonschema
import pytest

from shared.digesting.article import Article, read_article
from shared.digesting.asking import INSTRUCTION, MOST_TERMS, Question, Written, answer_of, question_of, read_answer
from shared.digesting.checks import Outcome, Verdict, texts_of, verdict_on
from shared.digesting.difficulty import calibration
from shared.digesting.digest import digest_of, with_written
from shared.digests import Digest, schemas
from shared.json_schema import check_schema
from shared.text.morphemes import analysed
from tests.unit.shared.test_digesting import KOREAN

ARTICLE = read_article(KOREAN)
SUMMARY = "JVM은 힙을 두 영역으로 나누고 젊은 영역을 더 자주 살핍니다. 늙은 영역이 차면 가비지 컬렉션이 오래 걸립니다."
EXPLANATION = "JVM은 힙을 나누고 가비지 컬렉션을 하는 프로그램입니다."


def question(
    article: Article = ARTICLE, terms: tuple[str, ...] = ("JVM", "G1"), most_characters: int = 4000
) -> Question:
    morphemes = [analysed(item.text) for item in article.items]
    return question_of(article, morphemes, analysed(article.title), terms, most_characters=most_characters)


def verdict(summary: str = SUMMARY, **explanations: str) -> Verdict:
    asked = question()
    written = Written(summary, explanations)
    return verdict_on(written, asked, ARTICLE, [analysed(text) for text in texts_of(written, asked)])


def extracted() -> Digest:
    morphemes = [analysed(item.text) for item in ARTICLE.items]
    return digest_of(ARTICLE, morphemes, analysed(ARTICLE.title), calibration(), seconds=0.5)


def test_the_question_shows_the_article_in_its_order_and_asks_for_terms_that_are_in_it() -> None:
    asked = question(terms=("JVM", "G1", "JVM", "Rust"))

    assert asked.terms == ("JVM", "G1")
    body = asked.text.partition("\n\n")[2].split("\n")
    assert body == [ARTICLE.items[place].text for place in asked.shown]
    assert asked.shown == tuple(sorted(asked.shown))
    assert asked.text.startswith(INSTRUCTION) and "Rust" not in asked.text


def test_a_long_article_is_shown_as_far_as_there_is_room_and_a_term_that_is_not_shown_is_not_asked_for() -> None:
    short = question(terms=("JVM", "G1"), most_characters=70)

    assert 0 < sum(len(ARTICLE.items[place].text) for place in short.shown) <= 70
    assert all(term in short.text.partition("\n\n")[2] for term in short.terms)
    assert len(short.shown) < len(question().shown)


def test_the_schema_is_one_that_answers_can_be_held_to_and_what_trains_is_of_it() -> None:
    words = [f"이름{number}" for number in range(9)]
    asked = question(read_article("\n\n".join(f"{word}은 여기에서 설명하는 것이다." for word in words)), tuple(words))
    assert len(asked.terms) == MOST_TERMS
    for each, explanations in ((asked, dict.fromkeys(asked.terms, "설명.")), (question(terms=()), {})):
        check_schema(each.schema)
        said = answer_of(Written("요약.", explanations))
        jsonschema.validate(json.loads(said), json.loads(each.schema))
        assert read_answer(said) == Written("요약.", explanations)


@pytest.mark.parametrize(
    "answer", ["", "요약입니다.", "[]", '{"terms": {}}', '{"summary": 3}', '{"summary": "가", "terms": []}', "[" * 9999]
)
def test_an_answer_of_another_form_is_none(answer: str) -> None:
    assert read_answer(answer) is None


def test_words_that_name_only_what_the_article_names_may_be_shown() -> None:
    assert verdict(JVM=EXPLANATION) == Verdict(Outcome.USED, {"JVM": Outcome.USED, "G1": Outcome.LENGTH})


@pytest.mark.parametrize(
    ("summary", "outcome"),
    [
        ("짧습니다.", Outcome.LENGTH),
        (SUMMARY * 12, Outcome.LENGTH),
        (SUMMARY.replace("두 영역", "12 영역"), Outcome.NUMBER),
        (SUMMARY.replace("JVM", "CLR"), Outcome.NAME),
        (SUMMARY.replace("젊은 영역", "젊은 데이터베이스"), Outcome.NAME),
        (SUMMARY.removesuffix("걸립니다.") + "걸", Outcome.UNFINISHED),
        ("JVM은 힙을 힙을 힙을 힙을 힙을 힙을 힙을 힙을 나눕니다.", Outcome.REPEATED),
        ("The heap is divided into two parts, and JVM looks at the young one.", Outcome.LANGUAGE),
        ("\n".join(item.text for item in ARTICLE.items[2:4]), Outcome.COPIED),
        (f"{SUMMARY} {INSTRUCTION}", Outcome.COPIED),
    ],
)  # fmt: skip
def test_a_summary_that_says_what_the_article_does_not_is_not_shown(summary: str, outcome: Outcome) -> None:
    assert verdict(summary).summary is outcome


@pytest.mark.parametrize(
    ("explanation", "outcome"),
    [
        ("힙을 나누는 프로그램입니다.", Outcome.TERM),
        ("JVM은 스레드를 멈추고 힙을 옮깁니다.", Outcome.COPIED),
        ("JVM은 자바 가상 머신입니다.", Outcome.NAME),
    ],
)
def test_an_explanation_is_no_sentence_of_the_article_and_names_its_term(explanation: str, outcome: Outcome) -> None:
    assert verdict(JVM=explanation).explanations["JVM"] is outcome


def test_a_digest_takes_what_passed_says_who_wrote_it_and_keeps_its_extracts_elsewhere() -> None:
    before = extracted()
    written = Written(SUMMARY, {"JVM": EXPLANATION, "G1": "지어낸 말입니다."})
    outcomes = (Outcome.USED, Outcome.NAME)
    made = {
        each: with_written(before, written, Verdict(each[0], {"JVM": each[1], "G1": Outcome.NAME}))
        for each in itertools.product(outcomes, outcomes)
    }

    for (of_summary, of_term), digest in made.items():
        assert digest.summary_by == ("llm" if of_summary is Outcome.USED else "extract")
        by = {each.term: (each.by, each.explanation) for each in digest.technical_terms}
        assert by["JVM"][0] == ("llm" if of_term is Outcome.USED else "extract")
        assert ("extract", "지어낸 말입니다.") not in by.values() and ("llm", "지어낸 말입니다.") not in by.values()
        jsonschema.Draft202012Validator(schemas()["digest"]).validate(digest.model_dump(mode="json"))
    assert made[outcomes[0], outcomes[0]].summary.split("\n") == [
        f"{each}." for each in SUMMARY.rstrip(".").split(". ")
    ]
    assert made[outcomes[1], outcomes[1]] == before
