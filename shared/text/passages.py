"""The passages of a page: chunks that are found by their stems and their spelling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.documents import DocumentKind, Page, Passage
from shared.text.chunking.base import Chunk, Chunker
from shared.text.chunking.markdown_header import MarkdownHeaderChunker
from shared.text.chunking.recursive import RecursiveChunker
from shared.text.embedding import Embedder, HashedNgrams
from shared.text.morphemes import Stem

CHUNK_CHARACTERS = 500  # a paragraph of an encyclopaedia

EMBEDDER: Embedder = HashedNgrams(dimensions=2048)


def chunker_for(kind: DocumentKind) -> Chunker:
    """A PDF tells no headings."""
    is_flat = kind in (DocumentKind.PDF, DocumentKind.TEXT)
    return RecursiveChunker(CHUNK_CHARACTERS) if is_flat else MarkdownHeaderChunker(CHUNK_CHARACTERS)


def found_by(text: str, chunk: Chunk) -> str:
    """What a chunk is found by: its own words, and the headings above it that it does not hold itself."""
    own = text[chunk.start : chunk.end]
    return "\n".join([*(title for title in chunk.heading if title not in own), own])


def passages_of(
    document_id: str, page: Page, chunks: Sequence[Chunk], stems: Sequence[Sequence[Stem]]
) -> list[Passage]:
    """`stems`: of what each chunk is found by. Takes a millisecond a chunk: not on an event loop."""
    vectors = EMBEDDER.embed([found_by(page.text, chunk) for chunk in chunks]).astype(np.float16)
    return [
        Passage(
            document_id,
            page.number,
            chunk.start,
            chunk.end,
            tuple(stem.text for stem in found),
            vector.tobytes(),
        )
        for chunk, found, vector in zip(chunks, stems, vectors, strict=True)
    ]
