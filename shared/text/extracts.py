"""Which sentences of a passage answer a question: neighbours, word for word. No model writes anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

_LONGEST_RUN = 3  # sentences
_PRICE_OF_A_SENTENCE = 0.02  # of the question's weight


class Run(NamedTuple):
    """`worth`: what share of the question these `sentences`, one after another, cover, less their price."""

    worth: float
    sentences: range


def best_run(said: Sequence[frozenset[str]], coverage: Callable[[frozenset[str]], float]) -> Run:
    """Neighbours that together cover most of the question: "입장료는?" is often asked of a thing that the sentence
    before names. A longer run has to be worth it. `said`: the stems of each sentence, of at least one."""
    runs = [
        range(start, end)
        for start in range(len(said))
        for end in range(start + 1, min(start + _LONGEST_RUN, len(said)) + 1)
    ]
    worth = [
        coverage(frozenset[str]().union(*(said[at] for at in run))) - _PRICE_OF_A_SENTENCE * len(run) for run in runs
    ]
    best = int(np.argmax(worth))
    return Run(worth[best], runs[best])
