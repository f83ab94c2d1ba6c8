"""Documents that are indexed anew while they are asked: no answer is empty, a kill costs nothing, nothing old stays."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from shared.broker.memory import MemoryBroker
from shared.documents import FIRST_INDEX, Document, DocumentKind, DocumentState, Passage
from shared.jobs import FAILED
from shared.messages import IngestDocument, ReindexDocument
from shared.settings import environment_without_settings
from shared.store import Store
from shared.text.embedding import HashedNgrams
from shared.text.passages import Indexing
from shared.topology import INGEST_LANE, REINDEX_LANE
from tests.documents import PAGES, pdf_of
from tests.ingest_house import OTHER_CHARACTERS, ended, indexed_anew, ingest_worker, reindex_worker
from tests.local_analyser import LocalAnalyser
from tests.service import ROOT
from tests.waiting import until
from web.documents.answering import Answering
from web.documents.question_vectors import QuestionVectors
from workers.ingest.indexing import passages_of

pytestmark = pytest.mark.timeout(180)

_ASKED, _SAID = "버들 하천은 길이가 얼마나 되나요?", "42킬로미터"
_OTHER = Indexing(characters=OTHER_CHARACTERS)
_MANY = 12  # pages; enough to be killed in the middle
_FILLER = "안개가 걷히자 마을 사람들은 하나둘 장터로 모여들었고, 아이들은 언덕에서 연을 날렸다. " * 8


async def _read(store: Store, broker: MemoryBroker, count: int = 1, user_id: str = "u") -> list[Document]:
    """Documents that are ready, one of whose pages answers."""
    found = []
    async with ingest_worker(store, broker):
        for number in range(count):
            pages = [f"{number}-{page}쪽. {PAGES[1 if page == 1 else 2]} {_FILLER}" for page in range(_MANY)]
            document = await store.documents.add(user_id, "이름", DocumentKind.PDF, pdf_of(pages), 0.0)
            await broker.publish_permit(INGEST_LANE, IngestDocument(document_id=document.id))
            found.append(await ended(store, document))
    assert {(each.state, each.index) for each in found} == {(DocumentState.READY, FIRST_INDEX)}
    return found


async def _indexes(store: Store, document: Document) -> set[str]:
    passages = await store.documents.contents.passages(document.user_id, [document.id])
    return {passage.index for passage in passages}


def _answering(store: Store) -> Answering:
    return Answering(store, LocalAnalyser(), QuestionVectors(HashedNgrams()))


async def _ask(answering: Answering) -> bool:
    answer = await answering.answer("u", _ASKED)
    return any(_SAID in citation.quote for citation in answer.citations)


async def test_every_question_is_answered_while_documents_are_indexed_anew(
    store: Store, memory_broker: MemoryBroker
) -> None:
    documents = await _read(store, memory_broker, count=3)
    answering = _answering(store)
    for document in documents:
        assert await store.reindexings.add(document, _OTHER.name)
    seen: set[frozenset[str]] = set()
    answers: list[bool] = []

    async def ask() -> None:
        while await store.reindexings.all():
            answers.append(await _ask(answering))
            seen.add(frozenset(each.index for each in await store.documents.of_user("u")))

    async with reindex_worker(store, memory_broker, chunk_characters=OTHER_CHARACTERS):
        await asyncio.wait_for(ask(), 110)

    assert len(answers) > 3 and all(answers)
    assert frozenset({FIRST_INDEX, _OTHER.name}) in seen, "some were asked by the old index, others by the new one"
    for document in documents:
        assert await _indexes(store, document) == {_OTHER.name}
    assert await _ask(answering)


async def test_an_index_that_is_replaced_while_it_is_read_is_read_again(
    store: Store, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    (document,) = await _read(store, memory_broker)
    contents = store.documents.contents
    read, calls = contents.passages, 0

    async def overtaken(user_id: str, document_ids: list[str]) -> list[Passage]:
        nonlocal calls
        calls += 1
        if calls == 1:
            monkeypatch.setattr(contents, "passages", read)
            await _index_at_once(store, document)
            monkeypatch.setattr(contents, "passages", overtaken)
        return await read(user_id, document_ids)

    monkeypatch.setattr(contents, "passages", overtaken)

    assert await _ask(_answering(store))
    assert calls == 2


async def _index_at_once(store: Store, document: Document) -> None:
    await store.reindexings.add(document, _OTHER.name)
    async with MemoryBroker() as broker, reindex_worker(store, broker, chunk_characters=OTHER_CHARACTERS):
        await indexed_anew(store)


async def test_a_killed_worker_is_followed_by_one_that_ends_with_the_same_index(
    store: Store, store_url: str, memory_broker: MemoryBroker
) -> None:
    document, other = (*await _read(store, memory_broker), *await _read(store, memory_broker, user_id="other"))
    await store.reindexings.add(document, _OTHER.name)
    with _process(store_url, store._database.name) as killed:
        await _pages(store, 2)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    (left,) = await store.reindexings.all()
    assert 2 <= left.pages_done < _MANY
    assert await _ask(_answering(store)), "the old index still answers"

    await store.reindexings.add(other, _OTHER.name)
    async with reindex_worker(store, memory_broker, stale_after_s=4.0, chunk_characters=OTHER_CHARACTERS):
        await indexed_anew(store)
    resumed = await store.documents.get(document.id, "u")
    undisturbed = await store.documents.get(other.id, "other")
    assert resumed is not None and undisturbed is not None
    assert resumed.index == undisturbed.index == _OTHER.name
    assert resumed.index_digest == undisturbed.index_digest != document.index_digest
    assert await _indexes(store, resumed) == {_OTHER.name}


async def test_a_worker_that_makes_another_index_leaves_the_old_one_in_use(
    store: Store, memory_broker: MemoryBroker
) -> None:
    (document,) = await _read(store, memory_broker)
    await store.reindexings.add(document, Indexing(characters=777).name)
    async with reindex_worker(store, memory_broker, chunk_characters=OTHER_CHARACTERS):
        await indexed_anew(store)

    (job,) = await store.reindexings.all()
    assert (job.state, job.error_code) == (FAILED, "index_unlike")
    assert await _indexes(store, document) == {FIRST_INDEX}
    assert await _ask(_answering(store))
    assert await store.reindexings.add(document, _OTHER.name), "what failed may be tried again"


async def test_a_removed_document_leaves_no_trace_of_it(store: Store, memory_broker: MemoryBroker) -> None:
    (document,) = await _read(store, memory_broker)
    await store.reindexings.add(document, _OTHER.name)
    await store.documents.remove(document.id, "u")
    await memory_broker.publish_permit(REINDEX_LANE, ReindexDocument(document_id=document.id))
    async with reindex_worker(store, memory_broker, chunk_characters=OTHER_CHARACTERS):
        await indexed_anew(store)

    await store.documents.finish_removals(10, after_s=0.0)
    for name in ("documents", "document_pages", "document_chunks", "reindexings", "blobs"):
        assert [row async for row in store._database[name].find({})] == [], name


async def test_documents_of_two_embedders_are_asked_together(store: Store, memory_broker: MemoryBroker) -> None:
    one, other = await _read(store, memory_broker, count=2)
    small = Indexing(embedder=HashedNgrams(64))
    for (_, number), text in (await store.documents.contents.texts("u", [other.id])).items():
        page = await store.documents.contents.page(other.id, "u", number)
        assert page is not None and page.text == text
        made = await passages_of(other.id, other.kind, page, small, LocalAnalyser())
        await store.documents.contents.put_passages("u", made)
    assert await store.documents.switch_index(other.id, FIRST_INDEX, small.name, "digest")

    answer = await _answering(store).answer("u", _ASKED)
    assert {citation.document_id for citation in answer.citations} == {one.id, other.id}


async def test_a_document_that_is_half_read_is_whole_under_the_index_it_ends_with(
    store: Store, memory_broker: MemoryBroker
) -> None:
    pages = [f"{number}쪽. {PAGES[number % 3]}" for number in range(60)]
    document = await store.documents.add("u", "이름", DocumentKind.PDF, pdf_of(pages), 0.0)
    async with ingest_worker(store, memory_broker):
        await memory_broker.publish_permit(INGEST_LANE, IngestDocument(document_id=document.id))

        async def has_begun() -> bool:
            found = await store.documents.get(document.id, "u")
            return bool(found and found.pages_done >= 2)

        await until(has_begun, 110)
    half = await store.documents.get(document.id, "u")
    assert half is not None and half.state is DocumentState.WAITING and half.pages_done < len(pages)
    async with ingest_worker(store, memory_broker, chunk_characters=OTHER_CHARACTERS):
        await memory_broker.publish_permit(INGEST_LANE, IngestDocument(document_id=document.id))
        assert (await ended(store, document)).index == _OTHER.name

    assert await store.documents.contents.pages_with(document.id, _OTHER.name) == set(range(1, len(pages) + 1))
    assert await _indexes(store, document) == {_OTHER.name}


@contextlib.contextmanager
def _process(store_url: str, database: str) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [sys.executable, "-m", "tests.ingest_house", store_url, database, "reindexings"]
    process = subprocess.Popen(arguments, cwd=ROOT, env=environment_without_settings())
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _pages(store: Store, number: int) -> None:
    async def look() -> Any:
        return any(job.pages_done >= number for job in await store.reindexings.all())

    assert await until(look, 110)
