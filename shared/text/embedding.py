"""Texts as vectors whose cosine says how alike they are. Behind an interface: the default needs no trained model, and
knows spelling, not meaning (hashed character n-grams); a trained one takes its place by a setting (sentence_model.py).
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

_GAPS = re.compile(r"[\W_]+")


class EmbeddingUnavailable(Exception):
    """The embedder did not answer, for a reason that a log may tell; it is started anew."""


class Embedder(Protocol):
    """Calls block, for seconds where a model is trained: not on an event loop."""

    @property
    def name(self) -> str:
        """Vectors of different names are not compared."""
        ...

    @property
    def knows_meaning(self) -> bool:
        """Whether a passage near a question is worth looking at though they share no word."""
        ...

    @property
    def weight(self) -> float:
        """Of the cosine, beside what words weigh (shared/text/retrieval.py)."""
        ...

    @property
    def is_ready(self) -> bool:
        """Whether a call is answered at once; the first one may wait for a model that is loaded."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
        """(len(texts), dimensions), float32, each of length 1, or 0 where there is nothing to embed.

        Raises EmbeddingUnavailable."""
        ...

    def embed_query(self, text: str) -> np.ndarray:
        """(dimensions,), as above: what is asked, which some models embed otherwise than what answers.

        Raises EmbeddingUnavailable."""
        ...

    def close(self) -> None:
        """What it holds beside this process ends."""
        ...


@dataclass(frozen=True, slots=True)
class HashedNgrams:
    """Counts of character n-grams, damped by a logarithm, added up in `dimensions` places by a hash (feature hashing,
    Weinberger et al. 2009). Likeness of spelling: it forgives endings and typing errors, and knows no synonym."""

    dimensions: int = 2048
    lengths: tuple[int, ...] = (2, 3)
    weight: float = 0.21

    @property
    def name(self) -> str:
        return f"hashed-{'-'.join(map(str, self.lengths))}-grams-{self.dimensions}"

    @property
    def knows_meaning(self) -> bool:
        return False

    @property
    def is_ready(self) -> bool:
        return True

    def embed_documents(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for gram, count in self._grams(text).items():
                place = zlib.crc32(gram.encode())
                row[place % self.dimensions] += (1 if place & 0x8000_0000 else -1) * np.log1p(count)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors

    def embed_query(self, text: str) -> np.ndarray:
        return np.asarray(self.embed_documents([text])[0])

    def close(self) -> None:
        pass

    def _grams(self, text: str) -> Counter[str]:
        words = f" {_GAPS.sub(' ', text.casefold()).strip()} "
        if words.isspace():
            return Counter()
        return Counter(words[at : at + length] for length in self.lengths for at in range(len(words) - length + 1))
