"""One article's bytes become its digest: read, weighed, and asked about where a model is there to be asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from shared.digesting.difficulty import calibration
from shared.digesting.digest import digest_of
from shared.digests import Digest
from shared.documents import DocumentKind
from shared.text.analyser import Analyser
from workers.digest.reading import Reading, read_source
from workers.ingest.page_reader import PageReader


async def make_digest(
    data: bytes,
    kind: DocumentKind,
    given: dict[str, Any],
    analyser: Analyser,
    reader: PageReader,
    writer: Callable[[Reading, Digest], Awaitable[Digest]] | None = None,
) -> Digest:
    """`given`: what came with it (title, language). `writer`: who else writes in what was extracted. Raises
    DigestError, DocumentError, SearchUnavailable, and what `writer` raises."""
    begun = time.perf_counter()
    reading = await read_source(data, kind, given, analyser, reader)
    seconds = time.perf_counter() - begun
    extracted = await asyncio.to_thread(
        digest_of, reading.article, reading.morphemes, reading.title, calibration(), seconds=seconds
    )
    if writer is None:
        return extracted
    written = await writer(reading, extracted)
    return written.taking(time.perf_counter() - begun)
