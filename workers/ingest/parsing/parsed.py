"""What parsers give, and the bounds they keep."""

from __future__ import annotations

from dataclasses import dataclass

from shared.documents import WordBox

MOST_UNPACKED_BYTES = 100 << 20  # of an archive, all its files together
MOST_FILES = 2000  # in an archive


@dataclass(frozen=True, slots=True)
class Scan:
    """A page as who reads its letters sees it: one byte a pixel, 0 is black, row by row."""

    width: int
    height: int
    pixels: bytes


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """`picture`: a JPEG of `width` x `height` pixels, empty where a document has no look of its own.
    `scan`: of a page without text, for who reads its letters."""

    number: int  # from 1
    text: str  # NFC
    words: tuple[WordBox, ...] = ()
    picture: bytes = b""
    width: int = 0
    height: int = 0
    scan: Scan | None = None
