"""An ingest worker on a real store: documents of every kind, hostile ones, cancelled ones, and a real kill."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from shared import job_recovery
from shared.broker.memory import MemoryBroker
from shared.documents import Document, DocumentKind, DocumentState
from shared.messages import IngestDocument
from shared.settings import environment_without_settings
from shared.store import Store
from shared.topology import INGEST_LANE
from tests.documents import PAGES, docx_of, hwpx_of, pdf_of, zip_of
from tests.ingest_house import ended, ingest_worker
from tests.service import ROOT
from tests.waiting import until
from workers.ingest.page_reader import PageReader

_MANY = 12  # pages; enough to be killed in the middle


async def bring(store: Store, broker: MemoryBroker, data: bytes, kind: DocumentKind, user_id: str = "u") -> Document:
    document = await store.documents.add(user_id, "이름", kind, data, 0.0)
    await broker.publish_permit(INGEST_LANE, IngestDocument(document_id=document.id))
    return document


@pytest.fixture
async def worker(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[None]:
    async with ingest_worker(store, memory_broker, max_pages=20, page_timeout_s=30.0):
        yield


@pytest.mark.usefixtures("worker")
async def test_documents_of_every_kind_are_read_to_their_end(store: Store, memory_broker: MemoryBroker) -> None:
    files = {
        DocumentKind.PDF: pdf_of(PAGES),
        DocumentKind.DOCX: docx_of({"하천": PAGES[1]}),
        DocumentKind.HWPX: hwpx_of({"하천": PAGES[1]}),
        DocumentKind.MARKDOWN: f"# 하천\n\n{PAGES[1]}".encode(),
        DocumentKind.HTML: f"<h1>하천</h1><p>{PAGES[1]}".encode(),
        DocumentKind.TEXT: PAGES[1].encode("cp949"),
    }
    brought = {kind: await bring(store, memory_broker, data, kind) for kind, data in files.items()}
    for kind, document in brought.items():
        found = await ended(store, document)
        assert (found.state, found.pages_done) == (DocumentState.READY, 3 if kind is DocumentKind.PDF else 1), kind
        passages = await store.documents.contents.passages("u", [document.id])
        assert any("하천" in passage.stems for passage in passages)
    page = await store.documents.contents.page(brought[DocumentKind.PDF].id, "u", 2)
    assert page is not None and page.text == PAGES[1] and page.words
    assert ((await store.blobs.get(page.picture or "")) or b"").startswith(b"\xff\xd8\xff")


@pytest.mark.usefixtures("worker")
async def test_hostile_files_get_a_reason_each_and_the_worker_lives(store: Store, memory_broker: MemoryBroker) -> None:
    whole = pdf_of(PAGES)
    hostile = [
        (whole[:400], DocumentKind.PDF, "document_broken"),
        (b"%PDF-1.7 nothing else", DocumentKind.PDF, "document_broken"),
        (pdf_of([""]), DocumentKind.PDF, "document_without_text"),
        (pdf_of(["쪽"] * 21), DocumentKind.PDF, "document_too_many_pages"),
        (b"PK\x03\x04 word/document.xml", DocumentKind.DOCX, "document_broken"),
        (zip_of({"word/document.xml": b"<w:"}), DocumentKind.DOCX, "document_broken"),
        (zip_of({"word/document.xml": b"0" * (101 << 20)}), DocumentKind.DOCX, "document_unpacks_too_far"),
        (zip_of({"word/document.xml": b"", "word/vbaProject.bin": b""}), DocumentKind.DOCX, "document_has_macros"),
        (b" \n\t ", DocumentKind.TEXT, "document_without_text"),
        (("말씀. " * 40_000).encode(), DocumentKind.TEXT, "document_too_many_pages"),
        (b"<div>" * 50_000, DocumentKind.HTML, "document_without_text"),
    ]
    brought = [(await bring(store, memory_broker, data, kind), code) for data, kind, code in hostile]
    good = await bring(store, memory_broker, whole, DocumentKind.PDF)
    for document, code in brought:
        found = await ended(store, document)
        assert (found.state, found.error_code) == (DocumentState.FAILED, code)
    assert (await ended(store, good)).state is DocumentState.READY


async def test_a_parser_that_hangs_or_dies_is_a_broken_document(
    store: Store, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.ingest.page_reader.MODULE", "no.such.module")
    async with ingest_worker(store, memory_broker, max_pages=20, page_timeout_s=30.0):
        document = await bring(store, memory_broker, b"x", DocumentKind.TEXT)
        assert (await ended(store, document)).error_code == "document_broken"
    monkeypatch.setattr("workers.ingest.page_reader.MODULE", "tests.silent_parser")
    reader = PageReader(most_pages=1, within_s=0.2)
    with pytest.raises(Exception, match="document_broken"):
        async for _ in reader.read(b"x", DocumentKind.TEXT):
            raise AssertionError("it says nothing")


async def test_a_removed_document_is_read_no_further(store: Store, memory_broker: MemoryBroker) -> None:
    async with ingest_worker(store, memory_broker, max_pages=500, page_timeout_s=30.0):
        document = await bring(store, memory_broker, pdf_of([*PAGES] * 60), DocumentKind.PDF)
        await _pages(store, document, 1)
        await store.documents.remove(document.id, "u")
        after = await bring(store, memory_broker, PAGES[0].encode(), DocumentKind.TEXT)
        assert (await ended(store, after)).state is DocumentState.READY
        await store.documents.finish_removals(10, after_s=0.0)

    contents = store.documents.contents
    assert await contents.texts("u", [document.id]) == {}
    assert await contents.passages("u", [document.id]) == []


async def test_a_killed_worker_is_followed_by_one_that_ends_with_the_same_index(
    store: Store, store_url: str, memory_broker: MemoryBroker
) -> None:
    data = pdf_of([f"{number}쪽. {PAGES[number % 3]}" for number in range(_MANY)])
    document = await store.documents.add("u", "이름", DocumentKind.PDF, data, 0.0)
    with _process(store_url, store._database.name) as killed:
        await _pages(store, document, 2)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    left = await store.documents.get(document.id, "u")
    assert left is not None and left.state is DocumentState.READING and 2 <= left.pages_done < _MANY

    async with ingest_worker(store, memory_broker, stale_after_s=4.0):
        resumed = await ended(store, document)
        undisturbed = await ended(store, await bring(store, memory_broker, data, DocumentKind.PDF, "other"))
    assert (resumed.state, resumed.pages_done) == (DocumentState.READY, _MANY)
    assert resumed.attempt >= 2 and resumed.begun_with >= 2, "it went on where the killed one was"
    assert resumed.index_digest == undisturbed.index_digest


async def test_what_stalls_three_times_is_given_up(store: Store, memory_broker: MemoryBroker) -> None:
    document = await store.documents.add("u", "이름", DocumentKind.TEXT, PAGES[0].encode(), 0.0)
    for _ in range(3):
        claimed = await store.documents.claim("w")
        assert claimed is not None and await store.documents.give_back(document.id, claimed.attempt)
    async with ingest_worker(store, memory_broker, max_pages=20, page_timeout_s=30.0):
        await memory_broker.publish_permit(INGEST_LANE, IngestDocument(document_id=document.id))
        assert (await ended(store, document)).error_code == "document_too_many_attempts"


async def test_recovery_takes_back_what_lost_workers_read_and_leaves_the_living_alone(
    store: Store, memory_broker: MemoryBroker
) -> None:
    stale_after = timedelta(seconds=60)
    lost = await store.documents.add("u", "하나", DocumentKind.TEXT, b"1", 1.0)
    held = await store.documents.add("u", "둘", DocumentKind.TEXT, b"2", 2.0)
    assert await store.documents.claim("gone") is not None
    await store.workers.beat("here", INGEST_LANE, "documents", "none", slots=2, busy=1)
    assert await store.documents.claim("here") is not None

    assert await job_recovery.sweep(store, memory_broker, stale_after) == 1
    assert await job_recovery.sweep(store, memory_broker, stale_after) == 0, "its permit is fresh"

    states = {each.id: each.state for each in await store.documents.of_user("u")}
    assert states == {lost.id: DocumentState.WAITING, held.id: DocumentState.READING}


async def test_the_parsers_process_has_no_network_and_starts_nothing() -> None:
    probe = (
        "import os, socket\n"
        "from workers.ingest.parsing.confinement import confine\n"
        "confine()\n"
        "for act in (socket.socket, lambda: os.execv('/bin/true', ['true'])):\n"
        "    try:\n"
        "        act()\n"
        "        print('may')\n"
        "    except OSError:\n"
        "        print('no')\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", probe), stdout=subprocess.PIPE, cwd=ROOT, env=environment_without_settings()
    )
    said, _ = await process.communicate()

    assert said.decode().split() == ["no", "no"]


async def _pages(store: Store, document: Document, count: int) -> None:
    async def look() -> bool:
        found = await store.documents.get(document.id, document.user_id)
        return found is not None and found.pages_done >= count

    assert await until(look, 90.0)


@contextlib.contextmanager
def _process(store_url: str, database: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.ingest_house", store_url, database]
    process = subprocess.Popen(command, cwd=ROOT, env=environment_without_settings(), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
