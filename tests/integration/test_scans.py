"""Letters in pictures: read by a real Tesseract that has no network, and a clear sentence where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shared.broker.memory import MemoryBroker
from shared.child_process import start_module
from shared.document_errors import OcrFailed, OcrUnavailable
from shared.documents import DocumentKind, DocumentState, marked
from shared.messages import IngestDocument
from shared.store import Store
from shared.topology import INGEST_LANE
from tests.documents import PAGES, image_file, pdf_of, scan_of
from tests.ingest_house import ended, ingest_worker
from workers.ingest.ocr.tesseract import MODULE, Tesseract
from workers.ingest.parsing.parsed import Scan
from workers.ingest.parsing.picture import picture_page

_WHITE = Scan(200, 100, b"\xff" * 20_000)


async def test_a_scan_is_read_and_its_words_lie_where_they_stand() -> None:
    scan = picture_page(image_file(scan_of(f"{PAGES[1]}\n\nTotal 37 kg"), "PNG")).scan
    assert scan is not None
    reading = await Tesseract(60.0).read(scan)

    assert "하천의 길이는" in reading.text and "kg" in reading.text
    start = reading.text.index("길이는")
    (box,) = marked(reading.words, start, start + 3)
    assert reading.text[box.start : box.end] == "길이는"
    assert 0.15 < box.left < box.right < 0.5 and box.top < box.bottom < 0.6


async def test_a_scan_without_a_letter_has_no_text() -> None:
    assert (await Tesseract(60.0).read(_WHITE)).text == ""


async def test_a_program_that_is_missing_or_slow_has_a_code_each() -> None:
    with pytest.raises(OcrUnavailable):
        await Tesseract(60.0, program="no-such-program").read(_WHITE)
    with pytest.raises(OcrFailed):
        await Tesseract(0.001).read(_WHITE)


async def test_what_reads_scans_has_no_network_and_writes_no_file(tmp_path: Path) -> None:
    probe = (
        "import socket, sys\n"
        "for act in (socket.socket, lambda: print('x', file=open(sys.argv[1], 'w'), flush=True)):\n"
        "    try:\n"
        "        act()\n"
        "        print('may')\n"
        "    except OSError:\n"
        "        print('no')\n"
    )
    process = await start_module(MODULE, arguments=(sys.executable, "-c", probe, str(tmp_path / "file")))
    said, _ = await process.communicate()

    assert said.decode().split() == ["no", "no"]


async def test_scans_go_the_whole_way_and_pages_with_text_are_not_read_twice(
    store: Store, memory_broker: MemoryBroker
) -> None:
    page = scan_of(PAGES[1])
    files = {
        DocumentKind.PNG: image_file(page, "PNG"),
        DocumentKind.JPEG: image_file(page, "JPEG"),
        DocumentKind.PDF: image_file(page, "PDF"),
    }
    async with ingest_worker(store, memory_broker):
        for kind, data in files.items():
            document = await store.documents.add("u", "스캔", kind, data, 0.0)
            await memory_broker.publish_permit(INGEST_LANE, IngestDocument(document_id=document.id))
            found = await ended(store, document)
            assert (found.state, found.pages_done, found.pages_unread) == (DocumentState.READY, 1, 0), kind
            read = await store.documents.contents.page(document.id, "u", 1)
            assert read is not None and "하천" in read.text and read.words and read.picture


async def test_without_an_engine_the_rest_of_a_document_still_works(
    store: Store, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.ingest.ocr.tesseract.which", lambda program: None)
    async with ingest_worker(store, memory_broker):
        mixed = await store.documents.add("u", "섞임", DocumentKind.PDF, pdf_of([PAGES[0], "■"]), 0.0)
        scan = await store.documents.add("u", "스캔", DocumentKind.PNG, image_file(scan_of(PAGES[1]), "PNG"), 0.0)
        for document in (mixed, scan):
            await memory_broker.publish_permit(INGEST_LANE, IngestDocument(document_id=document.id))
        assert (await ended(store, mixed)).state is DocumentState.READY
        assert (await ended(store, scan)).error_code == "ocr_unavailable"
