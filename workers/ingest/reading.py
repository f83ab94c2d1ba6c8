"""One claimed document from where it was left to its end: pages, their chunks, and how far it is.

Each page is kept before it is counted, under the document's attempt: whoever has lost it writes nothing that counts.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from shared.document_errors import REFUSALS, DocumentBroken, DocumentWithoutText, OcrFailed, OcrUnavailable
from shared.documents import Document, Page
from shared.metrics import INGEST_PAGES
from shared.store import Store
from shared.text.analyser import Analyser
from shared.text.passages import Indexing
from workers.ingest.indexing import passages_of
from workers.ingest.ocr.base import OcrEngine, Reading
from workers.ingest.page_reader import PageReader
from workers.ingest.parsing.parsed import ParsedPage
from workers.jobs.work import require


@dataclass(frozen=True, slots=True)
class ReadDocument:
    index_digest: str
    pages_unread: int  # pages whose letters could not be read


async def read_document(
    document: Document, store: Store, analyser: Analyser, reader: PageReader, ocr: OcrEngine, indexing: Indexing
) -> ReadDocument:
    """Once all pages are kept. Those that were kept under another index before get their passages of this one.

    Raises Lost, DocumentError, SearchUnavailable (of the analyser), StoreUnavailable.
    """
    data = await store.blobs.get(document.sha256)
    if data is None:
        raise DocumentBroken
    await _catch_up(document, store, analyser, indexing)
    pages = reader.read(data, document.kind, document.pages_done + 1)
    async with contextlib.aclosing(pages):
        async for said in pages:
            if isinstance(said, int):
                require(await store.documents.counted(document.id, document.attempt, said))
            else:
                await _keep(document, said, store, analyser, ocr, indexing)
    contents = store.documents.contents
    notes = await contents.notes(document.id)
    if not await contents.has_text(document.id):
        raise REFUSALS[notes[0]] if notes else DocumentWithoutText
    await contents.keep_index(document.id, indexing.name)
    return ReadDocument(await contents.digest(document.id, indexing.name), len(notes))


async def _catch_up(document: Document, store: Store, analyser: Analyser, indexing: Indexing) -> None:
    if not document.pages_done:
        return
    contents = store.documents.contents
    present = await contents.pages_with(document.id, indexing.name)
    for (_, number), text in (await contents.texts(document.user_id, [document.id])).items():
        if number not in present:
            page = Page(number, text)
            made = await passages_of(document.id, document.kind, page, indexing, analyser)
            await contents.put_passages(document.user_id, made)


async def _keep(
    document: Document, parsed: ParsedPage, store: Store, analyser: Analyser, ocr: OcrEngine, indexing: Indexing
) -> None:
    picture = await store.blobs.put(parsed.picture) if parsed.picture else None
    text, note = await _text_of(parsed, ocr)
    page = Page(parsed.number, text.text, text.words, picture, parsed.width, parsed.height, note)
    passages = await passages_of(document.id, document.kind, page, indexing, analyser)
    await store.documents.contents.put_page(document.id, document.user_id, page, passages)
    require(await store.documents.page_done(document.id, document.attempt, page.number))
    INGEST_PAGES.inc()


async def _text_of(parsed: ParsedPage, ocr: OcrEngine) -> tuple[Reading, str | None]:
    """Its letters, or those of its picture; with the code of why they could not be read, if so."""
    if parsed.scan is None:
        return Reading(parsed.text, parsed.words), None
    try:
        return await ocr.read(parsed.scan), None
    except (OcrUnavailable, OcrFailed) as error:
        return Reading("", ()), error.code
