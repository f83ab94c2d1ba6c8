"""The passages of a page: chunks that are found by their stems and their spelling. How they are made is an index, which
has a name: passages of one name belong together, and a document is searched by those of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from shared.documents import DocumentKind, Page, Passage
from shared.text.chunking.base import Chunk, Chunker
from shared.text.chunking.fixed import FixedChunker
from shared.text.chunking.markdown_header import MarkdownHeaderChunker
from shared.text.chunking.recursive import RecursiveChunker
from shared.text.chunking.semantic import SemanticChunker
from shared.text.embedding import Embedder, HashedNgrams
from shared.text.morphemes import Stem

_VERSION = "1"  # of what is found by what: another one where stems or their order change


class Strategy(StrEnum):
    """How pages are cut. headers: at their headings where a document has some, else recursively."""

    HEADERS = "headers"
    RECURSIVE = "recursive"
    SEMANTIC = "semantic"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Indexing:
    """`characters`: of a chunk, at most; 500 are a paragraph of an encyclopaedia."""

    strategy: Strategy = Strategy.HEADERS
    characters: int = 500
    embedder: Embedder = field(default_factory=HashedNgrams)

    @property
    def name(self) -> str:
        return f"{_VERSION}/{self.strategy}-{self.characters}/{self.embedder.name}"

    def chunker(self, kind: DocumentKind) -> Chunker:
        """A PDF tells no headings."""
        match self.strategy:
            case Strategy.SEMANTIC:
                return SemanticChunker(self.characters, self.embedder)
            case Strategy.FIXED:
                return FixedChunker(self.characters, overlap=self.characters // 5)
            case Strategy.HEADERS if kind not in (DocumentKind.PDF, DocumentKind.TEXT):
                return MarkdownHeaderChunker(self.characters)
            case _:
                return RecursiveChunker(self.characters)

    def passages(
        self, document_id: str, page: Page, chunks: Sequence[Chunk], stems: Sequence[Sequence[Stem]]
    ) -> list[Passage]:
        """`stems`: of what each chunk is found by. Takes a millisecond a chunk, more where a model embeds: not on an
        event loop. Raises EmbeddingUnavailable."""
        found_bys = [found_by(page.text, chunk) for chunk in chunks]
        vectors = self.embedder.embed_documents(found_bys).astype(np.float16)
        return [
            Passage(
                document_id,
                page.number,
                chunk.start,
                chunk.end,
                tuple(stem.text for stem in found),
                vector.tobytes(),
                self.name,
            )
            for chunk, found, vector in zip(chunks, stems, vectors, strict=True)
        ]


def embedder_name(index: str) -> str:
    """The name of the embedder that made an index of this name."""
    return index.split("/", 2)[-1]


def found_by(text: str, chunk: Chunk) -> str:
    """What a chunk is found by: its own words, and the headings above it that it does not hold itself."""
    own = text[chunk.start : chunk.end]
    return "\n".join([*(title for title in chunk.heading if title not in own), own])
