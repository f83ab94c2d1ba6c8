"""What a digest says of an article, and that all of it is there."""

from __future__ import annotations

import contextlib
import time

import jsonschema
import pytest

from shared.digest_errors import DigestLanguageOther, DigestLanguageUnknown, DigestWithoutText
from shared.digesting.article import Article, read_article, without_front_matter
from shared.digesting.difficulty import calibration, difficulty_of, features_of
from shared.digesting.digest import digest_of
from shared.digesting.summary import Weights, chosen_of, length_of
from shared.digesting.terms import explanations
from shared.digests import Digest, schemas
from shared.text.morphemes import analysed

KOREAN = """# 가비지 컬렉션

가비지 컬렉션이란 프로그램이 더 이상 쓰지 않는 메모리를 찾아 돌려주는 일을 말합니다.
JVM은 힙을 젊은 영역과 늙은 영역으로 나누고, 젊은 영역을 더 자주 살핍니다. JVM은 스레드를 멈추고 힙을 옮깁니다.
객체가 오래 살아남으면 늙은 영역으로 옮겨지고, 늙은 영역이 차면 가비지 컬렉션이 오래 걸립니다.

## 멈춤

멈춤을 줄이려면 힙의 크기를 정하고 가비지 컬렉션의 기록을 봐야 합니다. <b>G1</b>은 힙을 조각으로 나눕니다.

```java
// # 주석
List<String> names = new ArrayList<>();
```

- 첫째 항목
| 표 | 줄 |
"""
ENGLISH = """A deadlock is a state in which each thread waits for the other one. It happens when two threads take
two locks in a different order. A lock order makes this impossible. Use a timeout if there is no lock order."""


def _digest(article: Article) -> Digest:
    morphemes = [analysed(item.text) for item in article.items]
    return digest_of(article, morphemes, analysed(article.title), calibration(), seconds=0.5)


def test_an_article_is_taken_apart_into_headings_sentences_and_code() -> None:
    article = read_article(KOREAN)

    assert (article.title, article.headings) == ("가비지 컬렉션", ("가비지 컬렉션", "멈춤"))
    assert article.code == ("// # 주석\nList<String> names = new ArrayList<>();",)
    texts = [item.text for item in article.items]
    assert "G1은 힙을 조각으로 나눕니다." in texts
    assert ("첫째 항목", True) in [(item.text, item.is_listed) for item in article.items]
    assert not any("표" in text for text in texts)


def test_a_block_of_settings_gives_the_title_and_goes() -> None:
    assert without_front_matter("---\ntitle: '제목'\nid: 1\n---\n본문") == ("제목", "본문")
    assert without_front_matter("---\n본문") == ("", "---\n본문")


@pytest.mark.parametrize(
    ("text", "language", "error"),
    [
        ("", None, DigestWithoutText),
        ("<div><br></div>\n" * 500, None, DigestWithoutText),
        ("```\n" + "code = 1\n" * 100 + "```", None, DigestWithoutText),
        ("デッドロックとは、二つのスレッドが互いを待つ状態のことです。" * 10, None, DigestLanguageUnknown),
        (
            "Ein Deadlock ist ein Zustand, in dem zwei Prozesse aufeinander warten. " * 5,
            None,
            DigestLanguageUnknown,
        ),
        (ENGLISH, "ko", DigestLanguageOther),
        (KOREAN, "en", DigestLanguageOther),
    ],
)
def test_what_is_no_article_in_korean_or_english_is_refused(
    text: str, language: str | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        read_article(text, language=language)


@pytest.mark.parametrize("text", [KOREAN, ENGLISH])
def test_everything_in_a_digest_stands_in_its_article(text: str) -> None:
    article = read_article(text)
    digest = _digest(article)

    jsonschema.Draft202012Validator(schemas()["digest"]).validate(digest.model_dump())
    sentences = [item.text for item in article.items]
    assert all(line in sentences for line in digest.summary.split("\n"))
    assert digest.keywords and all(keyword in article.prose for keyword in digest.keywords)
    assert all(term.term in article.prose for term in digest.technical_terms)
    assert all(term.explanation is None or term.explanation in article.prose for term in digest.technical_terms)
    assert _digest(article) == digest


@pytest.mark.parametrize(
    "soup",
    [
        "<!--",
        "[",
        "[!a",
        "{/",
        "{%",
        "{#",
        "<a ",
        "<A ",
        "(",
        "```",
        "AB(aaaa aaaa",
        "말은 ",
        "이다.",
        "* ",
    ],
)
def test_soup_takes_no_longer_than_prose(soup: str) -> None:
    """What is quadratic takes minutes here."""
    begun = time.process_time()
    with contextlib.suppress(DigestLanguageUnknown, DigestWithoutText):
        explanations(read_article(f"{KOREAN}\n\n{soup * (400_000 // len(soup))}"))
    assert time.process_time() - begun < 10.0


def test_terms_are_explained_in_the_articles_own_words_or_not_at_all() -> None:
    said = {term.term: term.explanation for term in _digest(read_article(KOREAN)).technical_terms}

    assert said["JVM"] is None
    assert said["가비지 컬렉션"] == (
        "가비지 컬렉션이란 프로그램이 더 이상 쓰지 않는 메모리를 찾아 돌려주는 일을 말합니다."
    )
    english = {term.term: term.explanation for term in _digest(read_article(ENGLISH)).technical_terms}
    assert english["deadlock"] == "A deadlock is a state in which each thread waits for the other one."


def test_a_summary_prefers_the_topic_and_says_nothing_twice() -> None:
    stems = [["힙", "영역"], ["힙", "영역"], ["날씨"], ["힙", "멈춤", "기록"], ["기록", "멈춤"]]

    assert set(chosen_of(stems, frozenset(), Weights(lead=0.0, redundancy=0.9), count=2)) == {3, 0}
    assert chosen_of(stems, frozenset({"날씨"}), Weights(lead=0.0, title=9.0), count=1) == [2]
    assert [length_of(count) for count in (0, 2, 10, 20, 1000)] == [0, 2, 3, 5, 8]


def test_difficulty_is_the_sum_of_what_is_shown() -> None:
    article, by = read_article(KOREAN), calibration()
    features = features_of(article, [analysed(item.text) for item in article.items], by.words)
    level = difficulty_of(features, by)
    assert sum(level.effects.values()) == pytest.approx(level.total)

    harder = difficulty_of(features._replace(background=by.usual["background"] + 9, code_complexity=200.0), by)
    easier = difficulty_of(features._replace(background=by.usual["background"] - 9, code_complexity=0.0), by)
    assert easier.score < harder.score and easier.label == "beginner"
    assert difficulty_of(features._replace(background=None), by).effects["background"] == 0.0
