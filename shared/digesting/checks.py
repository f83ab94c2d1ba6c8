"""Whether what a model wrote about an article may be shown: everything it names must be in the article.

A check that is passed says that numbers and names are the article's, not that the sentence is true: what stands between
them (more, less, not) is read by nobody here. Pure; morphemes of what was written come from the caller.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from shared.digesting.article import Article
from shared.digesting.asking import INSTRUCTION, MOST_EXPLANATION, MOST_SUMMARY, ON_TERMS, Question, Written
from shared.digesting.words import names_of
from shared.text.morphemes import Morpheme

_LEAST_SUMMARY, _LEAST_EXPLANATION = 30, 10  # characters
_LEAST_HANGUL = 0.4  # of the letters
_RUN = 3  # words; the same ones in a row say the same thing again
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_HANGUL = re.compile(r"[가-힣]")
_ENDED = re.compile(r"[.!?][\"'”’)]*$")


class Outcome(StrEnum):
    """`used`: it is shown; else why not."""

    USED = "used"
    UNSERVED = "unserved"  # nobody answers with that model now
    LATE = "late"
    FAILED = "failed"
    FORM = "form"  # not of the schema
    LENGTH = "length"
    LANGUAGE = "language"  # not Korean
    UNFINISHED = "unfinished"
    REPEATED = "repeated"
    COPIED = "copied"  # the question's words, or one piece of the article
    NUMBER = "number"  # one that the article does not have
    NAME = "name"  # likewise
    TERM = "term"  # an explanation that does not name what it explains


class Verdict(NamedTuple):
    """`explanations`: by term."""

    summary: Outcome
    explanations: dict[str, Outcome]


def texts_of(written: Written, question: Question) -> list[str]:
    """The summary, then what is said of each term in question; empty if nothing is."""
    return [written.summary, *(written.explanations.get(term, "") for term in question.terms)]


def verdict_on(
    written: Written, question: Question, article: Article, morphemes: Sequence[Sequence[Morpheme]]
) -> Verdict:
    """`morphemes`: of each of `texts_of`."""
    source = Source(article, question.text)
    of_summary, *of_terms = morphemes
    return Verdict(
        source.on_summary(written.summary, of_summary),
        {
            term: source.on_explanation(term, written.explanations.get(term, ""), found)
            for term, found in zip(question.terms, of_terms, strict=True)
        },
    )


class Source:
    """An article and the question it was part of, as written things are held against them."""

    def __init__(self, article: Article, question: str) -> None:
        whole = "\n".join((article.prose, *article.code))
        self._bare = _bare(whole)
        self._numbers = frozenset(_NUMBER.findall(whole))
        self._names = frozenset(name.key for name in names_of(whole, ()))
        self._question = _letters(question)
        self._sentences = frozenset(_letters(item.text) for item in article.items)

    def on_summary(self, text: str, morphemes: Sequence[Morpheme]) -> Outcome:
        """`morphemes`: of the text."""
        if not _LEAST_SUMMARY <= len(text) <= MOST_SUMMARY:
            return Outcome.LENGTH
        if _letters(text) in self._question:
            return Outcome.COPIED
        return self._on(text, morphemes)

    def on_explanation(self, term: str, text: str, morphemes: Sequence[Morpheme]) -> Outcome:
        """As `on_summary`. A sentence of the article, word for word, is no explanation: those that are, are found
        without a model (terms.py)."""
        if not _LEAST_EXPLANATION <= len(text) <= MOST_EXPLANATION:
            return Outcome.LENGTH
        if _bare(term) not in _bare(text):
            return Outcome.TERM
        if _letters(text) in self._sentences:
            return Outcome.COPIED
        return self._on(text, morphemes)

    def _on(self, text: str, morphemes: Sequence[Morpheme]) -> Outcome:
        letters = [letter for letter in text if letter.isalpha()]
        if len(_HANGUL.findall(text)) < _LEAST_HANGUL * len(letters):
            return Outcome.LANGUAGE
        if not _ENDED.search(text):
            return Outcome.UNFINISHED
        words = text.split()
        runs = Counter(zip(*(itertools.islice(words, at, None) for at in range(_RUN)), strict=False))
        if runs and runs.most_common(1)[0][1] > 1:
            return Outcome.REPEATED
        if any(_letters(line) in _letters(text) for said in (INSTRUCTION, ON_TERMS) for line in said.split(". ")):
            return Outcome.COPIED
        if not self._numbers.issuperset(_NUMBER.findall(text)):
            return Outcome.NUMBER
        for name in names_of(text, morphemes):
            if name.key not in self._names if name.is_foreign else _bare(name.text) not in self._bare:
                return Outcome.NAME
        return Outcome.USED


def _bare(text: str) -> str:
    return "".join(text.split()).casefold()


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
