"""The passages of one page, made and kept: when it is read for the first time, and when it is indexed anew."""

from __future__ import annotations

import asyncio

from shared.documents import DocumentKind, Page, Passage
from shared.organising_errors import SearchUnavailable
from shared.text.analyser import Analyser
from shared.text.embedding import EmbeddingUnavailable
from shared.text.passages import Indexing, found_by


async def passages_of(
    document_id: str, kind: DocumentKind, page: Page, indexing: Indexing, analyser: Analyser
) -> list[Passage]:
    """Raises SearchUnavailable (of the analyser or the embedder)."""
    try:
        chunks = await asyncio.to_thread(indexing.chunker(kind).split, page.text)
        stems = await analyser.stems([found_by(page.text, chunk) for chunk in chunks])
        return await asyncio.to_thread(indexing.passages, document_id, page, chunks, stems)
    except EmbeddingUnavailable as error:
        raise SearchUnavailable from error
