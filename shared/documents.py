"""A person's documents as values: what was uploaded, how far it was read, what its pages say. Nothing here does I/O."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

FIRST_INDEX = "1/headers-500/hashed-2-3-grams-2048"  # of passages that name none: there was no other one
MOST_PAGE_CHARACTERS = 60_000  # what a word's place can say (`packed`)
MOST_QUESTION_CHARACTERS = 500
MOST_COLLECTION_NAME_CHARACTERS = 60

_WORD = struct.Struct("<6H")
_FULL = 10_000  # a coordinate is in ten-thousandths of the page's side


class DocumentKind(StrEnum):
    """What a file is, whatever it is called."""

    PDF = "pdf"
    PNG = "png"
    JPEG = "jpeg"
    DOCX = "docx"
    HWPX = "hwpx"
    MARKDOWN = "markdown"
    HTML = "html"
    TEXT = "text"


class DocumentState(StrEnum):
    """waiting -> reading -> ready | failed; reading -> waiting when its worker is lost. removed: nothing but its id is
    left, so that a worker which still reads it finds out."""

    WAITING = "waiting"
    READING = "reading"
    READY = "ready"
    FAILED = "failed"
    REMOVED = "removed"


class WordBox(NamedTuple):
    """Where `text[start:end]` of a page stands on its picture: parts of its width and height, from the top left."""

    start: int
    end: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Page:
    """`picture`: the sha256 of a JPEG, with its size in pixels; None where a document has no look of its own."""

    number: int  # from 1
    text: str
    words: tuple[WordBox, ...] = ()
    picture: str | None = None
    width: int = 0
    height: int = 0
    note: str | None = None  # the code of why its letters could not be read


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of one page: `text[start:end]` of it, the stems it is found by, and its vector (float16, in bytes)."""

    document_id: str
    page: int
    start: int
    end: int
    stems: tuple[str, ...]
    vector: bytes
    index: str = FIRST_INDEX  # how it was made (shared/text/passages.py)


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that an answer rests on: `text[start:end]` of a page. `quote`: which part of the page's text answers by
    itself, word for word; None where better passages leave nothing to it."""

    document_id: str
    name: str  # of the document
    page: int
    start: int
    end: int
    quote: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """As its owner sees it."""

    id: str
    user_id: str
    name: str
    kind: DocumentKind
    sha256: str  # of the file
    size_bytes: int
    state: DocumentState
    tag: float  # its start tag in the lane (shared/store/fairness.py)
    attempt: int
    stalled: int  # attempts in a row without a new page
    worker_id: str | None
    page_count: int  # 0: not known yet
    pages_done: int
    error_code: str | None
    error_facts: dict[str, str | int | float]
    index: str  # which of its passages are searched: those of one index, all of which are there
    index_digest: str | None  # of all pages and of these passages, once it is ready
    created_at: datetime
    begun_at: datetime | None  # of the current attempt
    begun_with: int  # pages that were done when it began
    pages_unread: int  # pages whose letters could not be read, once it is ready
    collection_id: str | None  # of the collection it lies in


@dataclass(frozen=True, slots=True)
class Reindexing:
    """A document that is to be indexed anew, beside the index that is searched meanwhile. Its id is the document's."""

    id: str
    user_id: str
    index: str  # the one that is made
    state: str  # waiting, reading or failed, as with every job (shared/jobs.py)
    tag: float
    attempt: int
    stalled: int  # attempts in a row without a new page
    worker_id: str | None
    pages_done: int  # up to which page its passages are there
    error_code: str | None


@dataclass(frozen=True, slots=True)
class DocumentCollection:
    """Documents that one person keeps together and asks together; a document lies in one at most."""

    id: str
    user_id: str
    name: str
    created_at: datetime


def seconds_left(document: Document, now: datetime) -> float | None:
    """As fast as this attempt's pages were; None while nobody can tell."""
    read = document.pages_done - document.begun_with
    if document.state is not DocumentState.READING or document.begun_at is None or read < 1:
        return None
    return (document.page_count - document.pages_done) * (now - document.begun_at).total_seconds() / read


def packed(words: Iterable[WordBox]) -> bytes:
    """12 bytes a word, for the store."""
    rows = ((word.start, word.end, *(_ten_thousandths(value) for value in word[2:])) for word in words)
    return b"".join(_WORD.pack(*row) for row in rows)


def unpacked(data: bytes) -> tuple[WordBox, ...]:
    rows = _WORD.iter_unpack(data)
    return tuple(WordBox(start, end, *(value / _FULL for value in box)) for start, end, *box in rows)


def marked(words: Sequence[WordBox], start: int, end: int) -> list[WordBox]:
    """The words of `text[start:end]`, those of one line as one box."""
    lines: list[WordBox] = []
    for word in words:
        if word.end <= start or word.start >= end:
            continue
        before = lines[-1] if lines else None
        if (
            before is not None
            and word.left >= before.left
            and min(before.bottom, word.bottom) - max(before.top, word.top)
            > 0.5 * min(before.bottom - before.top, word.bottom - word.top)
        ):
            lines[-1] = WordBox(
                before.start,
                word.end,
                before.left,
                min(before.top, word.top),
                max(before.right, word.right),
                max(before.bottom, word.bottom),
            )
        else:
            lines.append(word)
    return lines


def _ten_thousandths(value: float) -> int:
    return round(min(max(value, 0.0), 1.0) * _FULL)
