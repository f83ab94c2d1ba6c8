"""The embedder that the settings ask for."""

from __future__ import annotations

import asyncio

from shared.errors import ConfigError
from shared.settings import EmbeddingSettings
from shared.text.embedding import Embedder, EmbeddingUnavailable, HashedNgrams
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


async def load(embedder: Embedder, settings: EmbeddingSettings) -> None:
    """Once it answers. Raises ConfigError if it never will: no document is begun that could not be indexed."""
    try:
        await asyncio.to_thread(embedder.embed_query, "")
    except EmbeddingUnavailable as error:
        raise ConfigError(f"NUNMAL_EMBEDDING__MODEL={settings.model} cannot be used: {error}") from error
