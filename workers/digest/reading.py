"""One article's bytes become sentences with their morphemes: read in the process without rights, taken apart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.digest_errors import DigestWithoutText
from shared.digesting.article import LEAST_CHARACTERS, Article, read_article, without_front_matter
from shared.document_errors import DocumentWithoutText
from shared.documents import DocumentKind
from shared.text.analyser import Analyser
from shared.text.morphemes import Morpheme
from workers.ingest.page_reader import PageReader
from workers.ingest.parsing.plain import decoded

_AT_ONCE = 200  # sentences; the analyser has a deadline for each call


@dataclass(frozen=True, slots=True)
class Reading:
    """`morphemes`: of each item; `title`: of the title."""

    article: Article
    morphemes: Sequence[Sequence[Morpheme]]
    title: Sequence[Morpheme]


async def read_source(
    data: bytes, kind: DocumentKind, given: dict[str, Any], analyser: Analyser, reader: PageReader
) -> Reading:
    """`given`: what came with it (title, language). Raises DigestError, DocumentError, SearchUnavailable."""
    title = str(given.get("title") or "")
    if kind is DocumentKind.MARKDOWN:
        named, text = without_front_matter(decoded(data))
        title, data = title or named, text.encode()
    text = await _text(data, kind, reader)
    article = await asyncio.to_thread(read_article, text, title, given.get("language"))
    texts = [article.title, *(item.text for item in article.items)]
    found: list[list[Morpheme]] = []
    for begin in range(0, len(texts), _AT_ONCE):
        found += await analyser.morphemes(texts[begin : begin + _AT_ONCE])
    return Reading(article, found[1:], found[0])


async def _text(data: bytes, kind: DocumentKind, reader: PageReader) -> str:
    parts: list[str] = []
    try:
        async with contextlib.aclosing(reader.read(data, kind)) as pages:
            async for said in pages:
                if not isinstance(said, int):
                    parts.append(said.text)
    except DocumentWithoutText as error:
        raise DigestWithoutText(limit=LEAST_CHARACTERS) from error
    return "\n\n".join(parts)
