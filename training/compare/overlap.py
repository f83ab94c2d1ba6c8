"""How much of a reference an answer says: ROUGE over Korean morphemes, and BLEU by sacrebleu.

    ROUGE   F1 of shared morphemes (1), pairs of them (2) and the longest common subsequence (L), by Kiwi: particles and
            endings count apart from their stems, so 신청은 and 신청을 share 신청. Punctuation is left out.
    BLEU    sacrebleu's counts and formula, tokens by mecab-ko (its `ko-mecab`)

Words alone: an answer that says the same in other words scores low.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from shared.text.morphemes import morphemes
from training.compare.intervals import Counts, Measured, mean_of

_ORDERS = 4


def rouge(answers: Sequence[str], references: Sequence[str]) -> dict[str, Measured]:
    """`ROUGE-1`, `ROUGE-2` and `ROUGE-L`, each from 0 to 1."""
    split = [(morphemes(answer), morphemes(reference)) for answer, reference in zip(answers, references, strict=True)]
    return {
        "ROUGE-1": mean_of([_shared(_runs(one, 1), _runs(other, 1)) for one, other in split]),
        "ROUGE-2": mean_of([_shared(_runs(one, 2), _runs(other, 2)) for one, other in split]),
        "ROUGE-L": mean_of([_f1(longest_common(one, other), len(one), len(other)) for one, other in split]),
    }


def bleu(answers: Sequence[str], references: Sequence[str]) -> Measured:
    """Of the whole corpus, 0 to 100."""
    metric = BLEU(tokenize="ko-mecab", effective_order=True)
    rows = []
    for answer, reference in zip(answers, references, strict=True):
        score: Any = metric.sentence_score(answer, [reference])
        rows.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return Measured(np.array(rows, dtype=float).reshape(len(rows), 2 * _ORDERS + 2), _bleu_of_sums)


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    before = [0] * (len(other) + 1)
    for token in one:
        here = [0]
        for place, candidate in enumerate(other):
            here.append(before[place] + 1 if token == candidate else max(before[place + 1], here[-1]))
        before = here
    return before[-1]


def _bleu_of_sums(sums: Counts) -> Any:
    if sums.ndim > 1:
        return np.array([_bleu_of_sums(each) for each in sums])
    counts, totals = sums[:_ORDERS].tolist(), sums[_ORDERS : 2 * _ORDERS].tolist()
    said: Any = BLEU.compute_bleu(counts, totals, int(sums[-2]), int(sums[-1]), smooth_method="exp")
    return float(said.score)


def _runs(tokens: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[place : place + size]) for place in range(len(tokens) - size + 1))


def _shared(one: Counter[tuple[str, ...]], other: Counter[tuple[str, ...]]) -> float:
    return _f1((one & other).total(), one.total(), other.total())


def _f1(shared: int, one: int, other: int) -> float:
    return 2 * shared / (one + other) if one + other else 0.0
