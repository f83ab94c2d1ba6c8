"""Vectors of questions, where they come soon enough: a question without one is answered by its words."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from shared.text.embedding import Embedder, EmbeddingUnavailable

_WITHIN_S = 3.0  # a person waits


class QuestionVectors:
    """`embedder` is closed with it."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._thread = ThreadPoolExecutor(1, "embedding")
        self._loading: Future[np.ndarray] | None = None
        self._is_closed = False

    def load(self) -> None:
        """Begin, if it is not begun: questions do not wait for it."""
        if not self._is_closed and (self._loading is None or self._loading.done()):
            self._loading = self._thread.submit(self.embedder.embed_query, "")

    async def of(self, text: str) -> np.ndarray | None:
        """(dimensions,)."""
        if not self.embedder.is_ready:
            self.load()
            return None
        try:
            async with asyncio.timeout(_WITHIN_S):
                return await asyncio.get_running_loop().run_in_executor(self._thread, self.embedder.embed_query, text)
        except (TimeoutError, EmbeddingUnavailable):
            return None

    def close(self) -> None:
        self._is_closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.embedder.close()
