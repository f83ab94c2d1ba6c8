"""An extractive summary: sentences of the article, word for word and in its order.

A sentence is worth what it says of the article's topics (the weight of its stems that the article repeats, tf-idf over
its sentences), more near the beginning, more if it has the title's words, and less the more it is like one that is
chosen already (maximal marginal relevance, Carbonell and Goldstein 1998). The weights are round numbers;
BENCHMARKS.md has what others give, and what would be chosen for each article by the others alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shared.digesting.article import Article, Item
from shared.digesting.words import stems_of
from shared.text.morphemes import Morpheme

SHARE = 0.25  # of the sentences that could be chosen
FEWEST, MOST = 3, 8
_REACH = 10  # sentences after which the beginning counts a third
_LOOKED_AT = 1000  # sentences from the beginning; they and their words are a matrix
_LEAST_CHARACTERS, _MOST_CHARACTERS = 15, 300
_LEAST_WORDS = 5  # of an English sentence
_PREDICATES = ("VV", "VA", "VX", "VCP", "VCN", "XSV", "XSA")
_POINTS_ON = re.compile(r"[:：]\s*$")


class Weights(NamedTuple):
    lead: float = 0.5
    title: float = 0.3
    redundancy: float = 0.3


def summary_places(
    article: Article, morphemes: Sequence[Sequence[Morpheme]], title: Sequence[Morpheme], weights: Weights | None = None
) -> list[int]:
    """Which items, in order. `morphemes`: of each item; `title`: of the title."""
    places = _candidates(article, morphemes)
    return sorted(_ranked(places, morphemes, title, weights or Weights(), count=length_of(len(places))))


def ranked_places(article: Article, morphemes: Sequence[Sequence[Morpheme]], title: Sequence[Morpheme]) -> list[int]:
    """All that a summary could have, the first to be chosen first."""
    places = _candidates(article, morphemes)
    return _ranked(places, morphemes, title, Weights(), count=len(places))


def length_of(sentences: int) -> int:
    """How many sentences a summary of so many has."""
    return min(sentences, max(FEWEST, min(MOST, round(SHARE * sentences))))


def chosen_of(stems: Sequence[Sequence[str]], title: frozenset[str], weights: Weights, *, count: int) -> list[int]:
    """Places of `count` sentences, the best first."""
    matrix, inverse, vocabulary = _weighed(stems)
    total = matrix.sum(0)
    topics = (matrix > 0) @ np.where(total > 1, total * inverse, 0.0)
    in_title = np.array([word in title for word in vocabulary], dtype=bool)
    titled = (matrix > 0) @ np.where(in_title, inverse, 0.0)
    worth = _normal(topics) + weights.title * _normal(titled) + weights.lead * np.exp(-np.arange(len(stems)) / _REACH)
    vectors = matrix * inverse
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, lengths, out=vectors, where=lengths > 0)
    likeness = np.zeros(len(stems))
    chosen: list[int] = []
    for _ in range(min(count, len(stems))):
        left = worth - weights.redundancy * likeness
        left[chosen] = -np.inf
        best = int(np.argmax(left))
        chosen.append(best)
        likeness = np.maximum(likeness, vectors @ vectors[best])
    return chosen


def _weighed(stems: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Counts (sentences, words), the inverse document frequency of each word, and the words."""
    vocabulary = list(dict.fromkeys(stem for sentence in stems for stem in sentence))
    places = {stem: at for at, stem in enumerate(vocabulary)}
    matrix = np.zeros((len(stems), len(vocabulary)))
    for row, sentence in zip(matrix, stems, strict=True):
        for stem, number in Counter(sentence).items():
            row[places[stem]] = number
    inverse = np.log(1 + len(stems) / np.maximum((matrix > 0).sum(0), 1))
    return matrix, inverse, vocabulary


def _normal(values: np.ndarray) -> np.ndarray:
    best = float(values.max(initial=0.0))
    return values / best if best > 0 else values


def _candidates(article: Article, morphemes: Sequence[Sequence[Morpheme]]) -> list[int]:
    places = [place for place, item in enumerate(article.items) if _can_stand_alone(item, morphemes[place], article)]
    if len(places) < FEWEST:
        places = list(range(len(article.items)))
    return places[:_LOOKED_AT]


def _ranked(
    places: Sequence[int],
    morphemes: Sequence[Sequence[Morpheme]],
    title: Sequence[Morpheme],
    weights: Weights,
    *,
    count: int,
) -> list[int]:
    """`count` of them, the best first."""
    stems = [stems_of(morphemes[place]) for place in places]
    return [places[at] for at in chosen_of(stems, frozenset(stems_of(title)), weights, count=count)]


def _can_stand_alone(item: Item, morphemes: Sequence[Morpheme], article: Article) -> bool:
    """A whole sentence of prose, that does not only point at what follows."""
    if item.is_listed or not _LEAST_CHARACTERS <= len(item.text) <= _MOST_CHARACTERS or _POINTS_ON.search(item.text):
        return False
    if article.language == "en":
        return len(item.text.split()) >= _LEAST_WORDS
    return any(each.tag.split("-")[0] in _PREDICATES for each in morphemes)
