"""The embedder that the settings ask for, and the index that is made with it."""

from __future__ import annotations

import asyncio

from shared.errors import ConfigError
from shared.settings import EmbeddingSettings, IngestSettings
from shared.text.embedding import Embedder, EmbeddingUnavailable, HashedNgrams
from shared.text.passages import Indexing, Strategy
from shared.text.sentence_model import SentenceModel


def embedder_of(settings: EmbeddingSettings) -> Embedder:
    """Nothing is loaded yet."""
    if not settings.model:
        return HashedNgrams()
    return SentenceModel(
        settings.model,
        device=settings.device,
        query_prompt=settings.query_prompt or None,
        passage_prompt=settings.passage_prompt or None,
        weight=settings.weight,
    )


def indexing_of(settings: IngestSettings, embedder: Embedder) -> Indexing:
    """How workers index, and what `nunmal documents reindex` asks of them."""
    return Indexing(Strategy(settings.chunking), settings.chunk_characters, embedder)


async def load(embedder: Embedder, settings: EmbeddingSettings) -> None:
    """Once it answers and its name is known, for which a model's files are read: neither holds up an event loop later.

    Raises ConfigError if it never will: no document is begun that could not be indexed."""

    def first() -> None:
        embedder.embed_query("")
        _ = embedder.name

    try:
        await asyncio.to_thread(first)
    except EmbeddingUnavailable as error:
        raise ConfigError(f"NUNMAL_EMBEDDING__MODEL={settings.model} cannot be used: {error}") from error
