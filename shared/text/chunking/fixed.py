"""Windows of equal length that overlap: the simplest strategy, and the measure of the others."""

from __future__ import annotations

from dataclasses import dataclass

from shared.text.chunking.base import Chunk, trimmed
from shared.text.sentences import Span


@dataclass(frozen=True, slots=True)
class FixedChunker:
    """`overlap`: characters that a window shares with the one before."""

    limit: int
    overlap: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.limit:
            raise ValueError(f"overlap ({self.overlap}) must be from 0 to below limit ({self.limit})")

    def split(self, text: str) -> list[Chunk]:
        step = self.limit - self.overlap
        last = max(1, len(text) - self.overlap)
        return trimmed(text, (Span(at, min(at + self.limit, len(text))) for at in range(0, last, step)))
