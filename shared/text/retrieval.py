"""Passages that may answer a question: three rankings, whose scores are added up, each as a part of its best one.

BM25 over stems knows words whatever their endings; BM25 over pairs of letters forgives what an analyser misreads, as
names; the cosine of vectors is as clever as its embedder. Adding up scores found more than adding up reciprocal ranks
did (BENCHMARKS.md), as Bruch, Gai and Ingber (2023) report of other data.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import bm25s
import numpy as np

STEM_WEIGHT, PAIR_WEIGHT, VECTOR_WEIGHT = 0.45, 0.45, 0.1
ANSWERS_FROM = 0.45  # share of a question's weight that the best passage has to cover

_STEMS_K1, _STEMS_B = 0.6, 0.75
_PAIRS_K1, _PAIRS_B = 0.9, 0.5
_GAPS = re.compile(r"[\W_]+")


class Question(NamedTuple):
    text: str
    stems: Sequence[str]
    vector: np.ndarray  # (dimensions,)


class Hit(NamedTuple):
    """`coverage`: the share of the question's stems, weighed by how rare they are, that this passage has."""

    place: int  # which passage
    score: float
    coverage: float


class PassageIndex:
    """Passages of one person, in memory. `vectors`: (passages, dimensions), of any float type."""

    def __init__(self, texts: Sequence[str], stems: Sequence[Sequence[str]], vectors: np.ndarray) -> None:
        assert len(texts) == len(stems) == len(vectors)
        self._stems = [frozenset(each) for each in stems]
        self._frequency = Counter(stem for each in self._stems for stem in each)
        self._vectors = vectors.astype(np.float32)
        self._by_stem = _Ranking(stems, _STEMS_K1, _STEMS_B)
        self._by_pair = _Ranking([pairs(text) for text in texts], _PAIRS_K1, _PAIRS_B)

    def __len__(self) -> int:
        return len(self._stems)

    def search(self, question: Question, limit: int) -> list[Hit]:
        """The best first. Takes milliseconds for thousands of passages: not on an event loop."""
        if not self._stems:
            return []
        scores = (
            STEM_WEIGHT * _normal(self._by_stem.scores(question.stems))
            + PAIR_WEIGHT * _normal(self._by_pair.scores(pairs(question.text)))
            + VECTOR_WEIGHT * _normal(self._vectors @ question.vector)
        )
        best = np.argsort(-scores, kind="stable")[:limit]
        return [Hit(int(at), float(scores[at]), self.coverage(question.stems, self._stems[at])) for at in best]

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


def _normal(scores: np.ndarray) -> np.ndarray:
    """From 0 to 1 for the best; what is unlike the question counts as nothing."""
    best = float(scores.max())
    return np.clip(scores / best, 0.0, 1.0) if best > 0 else np.zeros(len(scores))
