"""Cut where the talk turns to something else: between two sentences that are less alike than most neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.text.chunking.base import Chunk, trimmed
from shared.text.chunking.recursive import divided
from shared.text.embedding import Embedder
from shared.text.sentences import Span, sentences


@dataclass(frozen=True, slots=True)
class SemanticChunker:
    """`spread`: how many standard deviations below the mean likeness of neighbours a turn of the talk lies."""

    limit: int
    embedder: Embedder
    spread: float = 0.5

    def split(self, text: str) -> list[Chunk]:
        spans = [piece for span in sentences(text) for piece in divided(text, span, self.limit)]
        if not spans:
            return []
        alike = self._likeness([text[start:end] for start, end in spans])
        turn = float(alike.mean() - self.spread * alike.std()) if len(alike) else 0.0
        merged = [spans[0]]
        for span, likeness in zip(spans[1:], alike, strict=True):
            if likeness >= turn and span.end - merged[-1].start <= self.limit:
                merged[-1] = Span(merged[-1].start, span.end)
            else:
                merged.append(span)
        return trimmed(text, merged)

    def _likeness(self, pieces: list[str]) -> np.ndarray:
        """Of each with the next (n - 1): the cosine."""
        vectors = self.embedder.embed_documents(pieces)
        return np.asarray(np.einsum("nd,nd->n", vectors[:-1], vectors[1:]))
