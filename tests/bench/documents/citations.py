"""The whole way: generated PDFs through the worker, questions through what answers them, and the page that it cites."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.embedded_store import embedded_store
from shared.broker.memory import MemoryBroker
from shared.documents import Document, DocumentKind
from shared.messages import IngestDocument
from shared.store import Store
from shared.text.embedding import HashedNgrams
from shared.topology import INGEST_LANE
from tests.bench.documents.korquad import Question
from tests.documents import pdf_of
from tests.ingest_house import ended, ingest_worker
from tests.local_analyser import LocalAnalyser
from web.documents.answering import Answering
from web.documents.question_vectors import QuestionVectors

_PASSAGES = 20  # of one PDF, each on a page of its own
_LONGEST = 1400  # characters that fit on such a page


async def cited(
    passages: Sequence[str], asked: Sequence[Question], documents: int, per_document: int
) -> dict[str, Any]:
    """`documents` PDFs, each its owner's only one, and `per_document` questions about each."""
    short = [number for number, passage in enumerate(passages) if len(passage) <= _LONGEST]
    groups = [short[at * _PASSAGES : (at + 1) * _PASSAGES] for at in range(documents)]
    groups = [group for group in groups if len(group) == _PASSAGES]
    with TemporaryDirectory() as directory:
        async with embedded_store(Path(directory)) as url, Store(url, "bench") as store, MemoryBroker() as broker:
            begun = time.monotonic()
            texts = [[passages[each] for each in group] for group in groups]
            files = [await _bring(store, broker, owner, of_one) for owner, of_one in enumerate(texts)]
            async with ingest_worker(store, broker):
                read = [await ended(store, file) for file in files]
            seconds = time.monotonic() - begun
            pages = sum(document.pages_done for document in read)
            rows = await _asked(
                Answering(store, LocalAnalyser(), QuestionVectors(HashedNgrams())), groups, asked, per_document
            )
    right = sum(row["cited"] == row["page"] for row in rows)
    return {
        "documents": len(groups),
        "questions": len(rows),
        "citation_page": right / len(rows),
        "cited_at_all": sum(row["cited"] is not None for row in rows) / len(rows),
        "any_citation_page": sum(row["page"] in row["all"] for row in rows) / len(rows),
        "pages": pages,
        "ingest_pages_per_s": pages / seconds,
        "rows": rows,
    }


async def _bring(store: Store, broker: MemoryBroker, owner: int, texts: Sequence[str]) -> Document:
    document = await store.documents.add(f"{owner}", "문서.pdf", DocumentKind.PDF, pdf_of(texts), 0.0)
    await broker.publish_permit(INGEST_LANE, IngestDocument(document_id=document.id))
    return document


async def _asked(
    answering: Answering, groups: Sequence[Sequence[int]], asked: Sequence[Question], per_document: int
) -> list[dict[str, Any]]:
    rows = []
    for owner, group in enumerate(groups):
        mine = [each for each in asked if each.passage in group]
        step = max(1, len(mine) // per_document)
        for question in mine[::step][:per_document]:
            answer = await answering.answer(f"{owner}", question.text)
            pages = [citation.page for citation in answer.citations]
            rows.append(
                {
                    "question": question.text,
                    "page": group.index(question.passage) + 1,
                    "cited": pages[0] if pages else None,
                    "all": pages,
                }
            )
    return rows
