"""Documents and their pages as the templates show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.documents import Document, DocumentKind, DocumentState, Page, marked, seconds_left
from web.words import Words

PATH = "/documents"


@dataclass(frozen=True, slots=True)
class DocumentView:
    document: Document
    has_pages: bool  # of its own; else they are called parts
    eta: str  # in words; empty: nobody can tell yet
    reason: str  # why it could not be read; empty if it could, or is not yet

    @property
    def is_going_on(self) -> bool:
        return self.document.state in (DocumentState.WAITING, DocumentState.READING)


@dataclass(frozen=True, slots=True)
class Box:
    """In pixels of the page's picture."""

    x: int
    y: int
    width: int
    height: int


def document_views(documents: Sequence[Document], words: Words) -> list[DocumentView]:
    now = datetime.now(UTC)
    return [
        DocumentView(
            document,
            document.kind in (DocumentKind.PDF, DocumentKind.PNG, DocumentKind.JPEG),
            _eta(document, words, now),
            words.explain_code(document.error_code, document.error_facts) if document.error_code else "",
        )
        for document in documents
    ]


def boxes_of(page: Page, start: int, end: int) -> list[Box]:
    """Around the lines of `text[start:end]`."""
    return [
        Box(
            round(line.left * page.width) - 3,
            round(line.top * page.height) - 2,
            round((line.right - line.left) * page.width) + 6,
            round((line.bottom - line.top) * page.height) + 4,
        )
        for line in marked(page.words, start, end)
    ]


def _eta(document: Document, words: Words, now: datetime) -> str:
    left = seconds_left(document, now)
    return "" if left is None else words.duration(left)
