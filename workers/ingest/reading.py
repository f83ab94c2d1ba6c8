"""One claimed document from where it was left to its end: pages, their chunks, and how far it is.

Each page is kept before it is counted, under the document's attempt: whoever has lost it writes nothing that counts.
"""

from __future__ import annotations

import asyncio
import contextlib

from shared.document_errors import DocumentBroken, DocumentWithoutText
from shared.documents import Document, Page
from shared.metrics import INGEST_PAGES
from shared.store import Store
from shared.text.analyser import Analyser
from shared.text.passages import chunker_for, found_by, passages_of
from workers.ingest.page_reader import PageReader
from workers.ingest.parsing.parsed import ParsedPage
from workers.jobs.work import require


async def read_document(document: Document, store: Store, analyser: Analyser, reader: PageReader) -> str:
    """Its index digest, once all pages are kept.

    Raises Lost, DocumentError, SearchUnavailable (of the analyser), StoreUnavailable.
    """
    data = await store.blobs.get(document.sha256)
    if data is None:
        raise DocumentBroken
    pages = reader.read(data, document.kind, document.pages_done + 1)
    async with contextlib.aclosing(pages):
        async for said in pages:
            if isinstance(said, int):
                require(await store.documents.counted(document.id, document.attempt, said))
            else:
                await _keep(document, said, store, analyser)
    if not await store.documents.contents.has_text(document.id):
        raise DocumentWithoutText
    return await store.documents.contents.digest(document.id)


async def _keep(document: Document, parsed: ParsedPage, store: Store, analyser: Analyser) -> None:
    picture = await store.blobs.put(parsed.picture) if parsed.picture else None
    page = Page(parsed.number, parsed.text, parsed.words, picture, parsed.width, parsed.height)
    chunks = await asyncio.to_thread(chunker_for(document.kind).split, page.text)
    stems = await analyser.stems([found_by(page.text, chunk) for chunk in chunks])
    passages = await asyncio.to_thread(passages_of, document.id, page, chunks, stems)
    await store.documents.contents.put_page(document.id, document.user_id, page, passages)
    require(await store.documents.page_done(document.id, document.attempt, page.number))
    INGEST_PAGES.inc()
