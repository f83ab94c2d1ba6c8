"""Passages that may answer a question: rankings whose scores are added up, each as a part of its best one.

BM25 over stems knows words whatever their endings; BM25 over pairs of letters forgives what an analyser misreads, as
names. The best of both are looked at again: whether the question's stems stand near one another and in its order, and
the cosine of vectors, which is as clever as its embedder. Adding up scores found more than adding up reciprocal ranks
did (BENCHMARKS.md), as Bruch, Gai and Ingber (2023) report of other data.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import bm25s
import numpy as np

STEM_WEIGHT, PAIR_WEIGHT, VECTOR_WEIGHT = 0.2, 0.5, 0.05
NEAR_WEIGHT, ORDER_WEIGHT = 0.45, 0.45
ANSWERS_FROM = 0.38  # certainty that the best passage has to have

_STEMS_K1, _STEMS_B = 0.6, 0.75
_PAIRS_K1, _PAIRS_B = 0.9, 0.5
_LOOKED_AT = 20  # passages that are looked at again
_NEAR = 16  # stems in a row, about a sentence
_GAPS = re.compile(r"[\W_]+")


class Question(NamedTuple):
    text: str
    stems: Sequence[str]
    vector: np.ndarray  # (dimensions,)


class Hit(NamedTuple):
    """`coverage`: the share of the question's stems, weighed by how rare they are, that this passage has; `nearness`:
    that one run of it has, about a sentence."""

    place: int  # which passage
    score: float
    coverage: float
    nearness: float

    @property
    def certainty(self) -> float:
        """From 0 to 1: whether it answers at all. Words that stand apart say less than words of one sentence."""
        return (self.coverage + self.nearness) / 2


class PassageIndex:
    """Passages of one person, in memory. `vectors`: (passages, dimensions), of any float type."""

    def __init__(self, texts: Sequence[str], stems: Sequence[Sequence[str]], vectors: np.ndarray) -> None:
        assert len(texts) == len(stems) == len(vectors)
        self._stems = stems
        self._frequency = Counter(stem for each in stems for stem in set(each))
        self._vectors = vectors
        self._by_stem = _Ranking(stems, _STEMS_K1, _STEMS_B)
        self._by_pair = _Ranking([pairs(text) for text in texts], _PAIRS_K1, _PAIRS_B)

    def __len__(self) -> int:
        return len(self._stems)

    def search(self, question: Question, limit: int) -> list[Hit]:
        """The best first. Takes milliseconds for thousands of passages: not on an event loop."""
        if not self._stems:
            return []
        by_stem = _normal(self._by_stem.scores(question.stems))
        by_pair = _normal(self._by_pair.scores(pairs(question.text)))
        first = _best(by_stem + by_pair, max(limit, _LOOKED_AT))
        weights = {stem: self.weight(stem) for stem in question.stems}
        found = [self._stems[at] for at in first]
        near = np.array([_nearness(stems, weights) for stems in found])
        scores = (
            STEM_WEIGHT * by_stem[first]
            + PAIR_WEIGHT * by_pair[first]
            + VECTOR_WEIGHT * _normal(self._vectors[first].astype(np.float32) @ question.vector)
            + NEAR_WEIGHT * near
            + ORDER_WEIGHT * np.array([_in_order(stems, question.stems) for stems in found])
        )
        best = np.argsort(-scores, kind="stable")[:limit]
        return [
            Hit(
                int(first[at]),
                float(scores[at]),
                self.coverage(question.stems, frozenset(found[at])),
                float(near[at]),
            )
            for at in best
        ]

    def weight(self, stem: str) -> float:
        """How much a stem tells: BM25's inverse document frequency. What no passage has tells as much as what one has:
        it may be a word of asking (얼마나)."""
        count = max(1, self._frequency[stem])
        return float(np.log1p((len(self._stems) - count + 0.5) / (count + 0.5)))

    def coverage(self, asked: Sequence[str], found: frozenset[str]) -> float:
        """From 0 to 1; 0 for a question without a stem."""
        weights = {stem: self.weight(stem) for stem in asked}
        whole = sum(weights.values())
        return sum(weight for stem, weight in weights.items() if stem in found) / whole if whole else 0.0


class _Ranking:
    def __init__(self, terms: Sequence[Sequence[str]], k1: float, b: float) -> None:
        self._count = len(terms)
        self._index: bm25s.BM25 | None = None
        if any(terms):  # bm25s cannot index nothing
            self._index = bm25s.BM25(k1=k1, b=b, method="lucene")
            self._index.index([list(each) for each in terms], show_progress=False)

    def scores(self, asked: Sequence[str]) -> np.ndarray:
        """(passages,); equal terms of a question count once."""
        known = [term for term in dict.fromkeys(asked) if self._index and term in self._index.vocab_dict]
        if self._index is None or not known:
            return np.zeros(self._count, np.float32)
        return np.asarray(self._index.get_scores(known))


def pairs(text: str) -> list[str]:
    """Neighbouring letters within words; a word of one letter is itself."""
    words = _GAPS.sub(" ", text.casefold()).split()
    return [word[at : at + 2] for word in words for at in range(max(1, len(word) - 1))]


def _nearness(stems: Sequence[str], weights: Mapping[str, float]) -> float:
    """The share of the question's weight that one run of `_NEAR` stems has; 0 for a question without a stem."""
    places = [at for at, stem in enumerate(stems) if stem in weights]
    runs = ({stems[at] for at in places[number:] if at < begin + _NEAR} for number, begin in enumerate(places))
    most = max((sum(weights[stem] for stem in run) for run in runs), default=0.0)
    whole = sum(weights.values())
    return most / whole if whole else 0.0


def _in_order(stems: Sequence[str], asked: Sequence[str]) -> float:
    """The share of the question's neighbouring stems that are neighbours here too."""
    neighbours = set(pairwise(asked))
    return len(neighbours & set(pairwise(stems))) / len(neighbours) if neighbours else 0.0


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Places of the highest, equal ones by their order."""
    count = min(count, len(scores))
    chosen = np.sort(np.argpartition(-scores, count - 1)[:count])
    return np.asarray(chosen[np.argsort(-scores[chosen], kind="stable")])


def _normal(scores: np.ndarray) -> np.ndarray:
    """From 0 to 1 for the best; what is unlike the question counts as nothing."""
    best = float(scores.max())
    return np.clip(scores / best, 0.0, 1.0) if best > 0 else np.zeros(len(scores))
