"""HWPX in order: headings, paragraphs, tables; and what is refused."""

from __future__ import annotations

import pytest

from shared.document_errors import DocumentBroken, DocumentEncrypted
from shared.document_kinds import kind_of
from shared.documents import DocumentKind
from tests.documents import hwpx_of, zip_of
from workers.ingest.parsing.hwpx import hwpx_blocks


def test_headings_paragraphs_and_tables_come_in_order() -> None:
    data = hwpx_of({"하천": "버들 하천은\n42킬로미터이다."}, [["이름", "길이"], ["버들", "42 & 1"]])

    assert kind_of("이름.hwpx", data) is DocumentKind.HWPX
    blocks = [block for block in hwpx_blocks(data) if block]
    assert blocks == ["## 하천", "버들 하천은\n42킬로미터이다.", "이름 | 길이", "버들 | 42 & 1"]


@pytest.mark.parametrize(
    ("files", "refusal"),
    [
        ({"Contents/section0.xml": b"<hs:sec"}, DocumentBroken),
        ({"Contents/content.hpf": b""}, DocumentBroken),
        ({"Contents/section0.xml": b"", "META-INF/manifest.xml": b"<odf:encryption-data/>"}, DocumentEncrypted),
    ],
)
def test_what_cannot_be_read_is_refused(files: dict[str, bytes], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        list(hwpx_blocks(zip_of(files)))
