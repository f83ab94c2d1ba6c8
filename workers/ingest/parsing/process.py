"""Reads one document: `python -m workers.ingest.parsing.process`, started and listened to by page_reader.py.

A process of its own without rights (confinement.py): a parser that crashes, hangs, is taken over or asks for gigabytes
costs the person whose file it was an answer, and nobody else anything. On stdin, and then on stdout:

    order:   a line of JSON: {kind, first_page, most_pages, length}; the file
    answers: lines of JSON: {pages: how many}; for each page from `first_page` {page, text, words, width, height,
             picture: length, scan: [width, height] or null}, its picture and its scan; {code, facts} if it is refused
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from shared.document_errors import DocumentBroken, DocumentError, DocumentTooManyPages, DocumentWithoutText
from shared.documents import DocumentKind
from workers.ingest.parsing.confinement import confine
from workers.ingest.parsing.parsed import ParsedPage
from workers.ingest.parsing.parts import parts_of


def main() -> None:
    confine()
    orders, answers = sys.stdin.buffer, sys.stdout.buffer
    order = json.loads(orders.readline())
    data = orders.read(order["length"])
    try:
        _read(DocumentKind(order["kind"]), data, order["first_page"], order["most_pages"], answers)
    except DocumentError as error:
        _say(answers, {"code": error.code, "facts": error.facts})
    except Exception:  # parsers raise whatever they like
        _say(answers, {"code": DocumentBroken.code, "facts": {}})


def _read(kind: DocumentKind, data: bytes, first_page: int, most_pages: int, answers: BinaryIO) -> None:
    count, pages = _opened(kind, data, first_page, most_pages)
    if count > most_pages:
        raise DocumentTooManyPages(limit=most_pages)
    _say(answers, {"pages": count})
    for page in pages:
        scan = page.scan
        shape = [scan.width, scan.height] if scan else None
        said = {"page": page.number, "text": page.text, "words": page.words, "picture": len(page.picture)}
        said |= {"width": page.width, "height": page.height, "scan": shape}
        _say(answers, said, page.picture + (scan.pixels if scan else b""))


def _opened(kind: DocumentKind, data: bytes, first_page: int, most_pages: int) -> tuple[int, Iterator[ParsedPage]]:
    """How many pages there are (or one more than may be), and those from `first_page`. Each parser is imported only
    when it is needed: together they take a second."""
    if kind is DocumentKind.PDF:
        from workers.ingest.parsing.pdf import open_pdf, pdf_page

        document = open_pdf(data)
        return len(document), (pdf_page(document, number) for number in range(first_page, len(document) + 1))
    if kind in (DocumentKind.PNG, DocumentKind.JPEG):
        from workers.ingest.parsing.picture import picture_page

        return 1, (picture_page(data) for _ in range(first_page, 2))
    if kind is DocumentKind.MARKDOWN:
        from workers.ingest.parsing.illustrated import illustrated_pages
        from workers.ingest.parsing.markdown import markdown_pieces

        return illustrated_pages(markdown_pieces(data), first_page, most_pages)
    parts = list(itertools.islice(parts_of(_blocks_of(kind)(data)), most_pages + 1))
    if not parts:
        raise DocumentWithoutText
    return len(parts), iter(parts[first_page - 1 :])


def _blocks_of(kind: DocumentKind) -> Callable[[bytes], Iterator[str]]:
    if kind is DocumentKind.DOCX:
        from workers.ingest.parsing.docx import docx_blocks

        return docx_blocks
    if kind is DocumentKind.HWPX:
        from workers.ingest.parsing.hwpx import hwpx_blocks

        return hwpx_blocks
    if kind is DocumentKind.HTML:
        from workers.ingest.parsing.html import html_blocks

        return html_blocks
    from workers.ingest.parsing.plain import plain_blocks

    return plain_blocks


def _say(answers: BinaryIO, said: dict[str, Any], then: bytes = b"") -> None:
    answers.write(json.dumps(said).encode() + b"\n" + then)
    answers.flush()


if __name__ == "__main__":
    main()
