"""Passages that may answer a question: rankings whose scores are added up, each as a part of its best one.

BM25 over stems knows words whatever their endings; BM25 over pairs of letters forgives what an analyser misreads, as
names. The best of both are looked at again: how much of the question they have at all, whether its stems and its pairs
of letters stand near one another and in its order, and the cosine of vectors, which is as clever as its embedder.
Adding up scores found more than adding up reciprocal ranks did (BENCHMARKS.md), as Bruch, Gai and Ingber (2023) report
of other data. The weights are those of a logistic regression over the candidates of one half of KorQuAD's questions.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import bm25s
import numpy as np

from shared.text.embedding import Embedder

STEM_WEIGHT, PAIR_WEIGHT, COVERAGE_WEIGHT = 1.21, 1.77, 1.77
NEAR_WEIGHT, ORDER_WEIGHT = 1.19, 0.61
NEAR_PAIRS_WEIGHT, PAIRS_IN_ORDER_WEIGHT = 2.03, 1.21
ANSWERS_FROM = 0.38  # certainty that the best passage has to have

_STEMS_K1, _STEMS_B = 0.6, 0.75
_PAIRS_K1, _PAIRS_B = 0.9, 0.5
_LOOKED_AT = 20  # passages that are looked at again
_NEAR, _NEAR_PAIRS = 16, 80  # stems in a row, about a sentence; pairs of letters, about two
_RUN = 3  # pairs of letters that follow one another
_GAPS = re.compile(r"[\W_]+")


class Question(NamedTuple):
    text: str
    stems: Sequence[str]
    vector: np.ndarray | None = None  # (dimensions,)


class Hit(NamedTuple):
    """`coverage`: the share of the question's stems, weighed by how rare they are, that this passage has; `nearness`:
    that one run of it has, about a sentence."""

    place: int  # which passage
    score: float
    coverage: float
    nearness: float
    cosine: float  # 0 without vectors

    @property
    def certainty(self) -> float:
        """From 0 to 1: whether it answers at all. Words that stand apart say less than words of one sentence."""
        return (self.coverage + self.nearness) / 2


class Vectors(NamedTuple):
    """Of passages. `numbers`: (passages, dimensions), of any float type; `weight`: of their cosine in the score. Where
    they `know_meaning`, the nearest passages are looked at too, though they share no word with what is asked."""

    numbers: np.ndarray
    weight: float
    know_meaning: bool = False

    @classmethod
    def of(cls, embedder: Embedder, numbers: np.ndarray) -> Vectors:
        """That this embedder made. Where all are compared with every question, they are kept as they are compared."""
        kept = numbers.astype(np.float32) if embedder.knows_meaning else numbers
        return cls(kept, embedder.weight, embedder.knows_meaning)


class PassageIndex:
    """Passages of one person, in memory."""

    def __init__(
        self,
        texts: Sequence[str],
        stems: Sequence[Sequence[str]],
        vectors: Vectors | None = None,
    ) -> None:
        assert len(texts) == len(stems) and (vectors is None or len(vectors.numbers) == len(texts))
        self._texts = texts
        self._stems = stems
        self._vectors = vectors or Vectors(np.zeros((len(texts), 0), np.float32), 0.0)
        self._by_stem = _Ranking(stems, _STEMS_K1, _STEMS_B)
        self._by_pair = _Ranking([pairs(text) for text in texts], _PAIRS_K1, _PAIRS_B)

    def __len__(self) -> int:
        return len(self._stems)

    def search(self, question: Question, limit: int) -> list[Hit]:
        """The best first. Takes milliseconds for thousands of passages: not on an event loop."""
        if not self._stems:
            return []
        asked_pairs = pairs(question.text)
        by_stem = _normal(self._by_stem.scores(question.stems))
        by_pair = _normal(self._by_pair.scores(asked_pairs))
        first = _best(by_stem + by_pair, max(limit, _LOOKED_AT))
        if self._vectors.know_meaning:
            nearest = _best(self._cosines(question, slice(None)), max(limit, _LOOKED_AT))
            first = np.concatenate([first, nearest[~np.isin(nearest, first)]])
        weights = {stem: self.weight(stem) for stem in question.stems}
        pair_weights = {pair: self._by_pair.weight(pair) for pair in asked_pairs}
        stems = [self._stems[at] for at in first]
        in_pairs = [pairs(self._texts[at]) for at in first]
        near = np.array([_nearness(each, weights, _NEAR) for each in stems])
        cosines = self._cosines(question, first)
        coverage = np.array([self.coverage(question.stems, frozenset(each)) for each in stems])
        scores = (
            STEM_WEIGHT * by_stem[first]
            + PAIR_WEIGHT * by_pair[first]
            + self._vectors.weight * _normal(cosines)
            + COVERAGE_WEIGHT * coverage
            + NEAR_WEIGHT * near
            + ORDER_WEIGHT * np.array([_in_order(each, question.stems, 2) for each in stems])
            + NEAR_PAIRS_WEIGHT * np.array([_nearness(each, pair_weights, _NEAR_PAIRS) for each in in_pairs])
            + PAIRS_IN_ORDER_WEIGHT * np.array([_in_order(each, asked_pairs, _RUN) for each in in_pairs])
        )
        best = np.argsort(-scores, kind="stable")[:limit]
        measures = (scores, coverage, near, cosines)
        return [Hit(int(first[at]), *(float(measure[at]) for measure in measures)) for at in best]

    def _cosines(self, question: Question, which: np.ndarray | slice) -> np.ndarray:
        """Of the question with these passages; 0 where there is nothing to compare."""
        numbers, asked = self._vectors.numbers, question.vector
        if asked is None or numbers.shape[1:] != asked.shape:
            return np.zeros(len(self), np.float32)[which]
        return np.asarray(numbers[which].astype(np.float32, copy=False) @ asked)

    def weight(self, stem: str) -> float:
        """How much a stem tells: BM25's inverse document frequency. What no passage has tells as much as what one has:
        it may be a word of asking (얼마나)."""
        return self._by_stem.weight(stem)

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

    def weight(self, term: str) -> float:
        """Its inverse document frequency; that of a term of one passage, if none has it."""
        count = 1
        if self._index is not None and (term_id := self._index.vocab_dict.get(term)) is not None:
            begin, end = self._index.scores["indptr"][term_id : term_id + 2]
            count = max(1, int(end - begin))
        return float(np.log1p((self._count - count + 0.5) / (count + 0.5)))

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


def _nearness(terms: Sequence[str], weights: Mapping[str, float], near: int) -> float:
    """The share of the question's weight that one run of `near` terms has; 0 for a question without any."""
    whole = sum(weights.values())
    inside: Counter[str] = Counter()
    run: deque[int] = deque()  # places of the question's terms that lie in it
    most = weight = 0.0
    for place, term in enumerate(terms):
        if term not in weights:
            continue
        while run and run[0] <= place - near:
            left = terms[run.popleft()]
            inside[left] -= 1
            if not inside[left]:
                weight -= weights[left]
        run.append(place)
        inside[term] += 1
        if inside[term] == 1:
            weight += weights[term]
            most = max(most, weight)
    return most / whole if whole else 0.0


def _in_order(terms: Sequence[str], asked: Sequence[str], length: int) -> float:
    """The share of the question's runs of so many terms that are runs here too."""
    runs = set(_runs(asked, length))
    return len(runs.intersection(_runs(terms, length))) / len(runs) if runs else 0.0


def _runs(terms: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return zip(*(islice(terms, at, None) for at in range(length)), strict=False)


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Places of the highest, equal ones by their order."""
    count = min(count, len(scores))
    chosen = np.sort(np.argpartition(-scores, count - 1)[:count])
    return np.asarray(chosen[np.argsort(-scores[chosen], kind="stable")])


def _normal(scores: np.ndarray) -> np.ndarray:
    """From 0 to 1 for the best; what is unlike the question counts as nothing."""
    best = float(scores.max())
    return np.clip(scores / best, 0.0, 1.0) if best > 0 else np.zeros(len(scores))
