"""The analyser without a process of its own: a run of tests loads its dictionary once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.text.analyser import Analyser
from shared.text.morphemes import Morpheme, Stem, analysed, stems


class LocalAnalyser(Analyser):
    async def stems(self, texts: Sequence[str]) -> list[list[Stem]]:
        return await asyncio.to_thread(lambda: [stems(text) for text in texts])

    async def morphemes(self, texts: Sequence[str]) -> list[list[Morpheme]]:
        return await asyncio.to_thread(lambda: [analysed(text) for text in texts])
