"""Texts as vectors whose cosine says how alike they are. Behind an interface, so that a trained model can take the
place of the default, which needs none: hashed character n-grams know spelling, not meaning."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

_GAPS = re.compile(r"[\W_]+")


class Embedder(Protocol):
    @property
    def name(self) -> str:
        """Vectors of different names are not compared."""
        ...

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """(len(texts), dimensions), float32, each of length 1, or 0 for a text without a letter."""
        ...


@dataclass(frozen=True, slots=True)
class HashedNgrams:
    """Counts of character n-grams, damped by a logarithm, added up in `dimensions` places by a hash (feature hashing,
    Weinberger et al. 2009). Likeness of spelling: it forgives endings and typing errors, and knows no synonym."""

    dimensions: int = 1024
    lengths: tuple[int, ...] = (2, 3)

    @property
    def name(self) -> str:
        return f"hashed-{'-'.join(map(str, self.lengths))}-grams-{self.dimensions}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for gram, count in self._grams(text).items():
                place = zlib.crc32(gram.encode())
                row[place % self.dimensions] += (1 if place & 0x8000_0000 else -1) * np.log1p(count)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        np.divide(vectors, lengths, out=vectors, where=lengths > 0)
        return vectors

    def _grams(self, text: str) -> Counter[str]:
        words = f" {_GAPS.sub(' ', text.casefold()).strip()} "
        if words.isspace():
            return Counter()
        return Counter(words[at : at + length] for length in self.lengths for at in range(len(words) - length + 1))
