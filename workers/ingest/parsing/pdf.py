"""PDF: each page's text, where its words stand, and its picture."""

from __future__ import annotations

import ctypes
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pypdfium2 as pdfium
from pypdfium2 import raw

from shared.document_errors import DocumentBroken, DocumentEncrypted
from shared.documents import MOST_PAGE_CHARACTERS, WordBox
from workers.ingest.parsing.parsed import ParsedPage, Scan
from workers.ingest.parsing.picture import PICTURE_MOST_HEIGHT, PICTURE_WIDTH, pictured

_SCAN_SCALE = 200 / 72  # pixels of a scan for each point
_MOST_SCAN_SIDE = 4000
_HYPHENS = "\x02\ufffe"  # what PDFium gives for a hyphen at a line's end
_MEDIAL, _LAST = "\u1160", "\u11ff"  # vowels and finals, which NFC joins with the letter before


class _Letter(NamedTuple):
    """`box`: left, bottom, right, top in points, from the page's lower left; None for a gap."""

    text: str
    box: tuple[float, float, float, float] | None


def open_pdf(data: bytes) -> pdfium.PdfDocument:
    """Raises DocumentEncrypted, DocumentBroken."""
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise DocumentEncrypted from error
        raise DocumentBroken from error


def pdf_page(document: pdfium.PdfDocument, number: int) -> ParsedPage:
    """`number`: from 1. Raises DocumentBroken."""
    try:
        page = document[number - 1]
        width, height = page.get_size()
        scale = min(PICTURE_WIDTH / max(width, 1), PICTURE_MOST_HEIGHT / max(height, 1))
        picture = page.render(scale=scale).to_pil().convert("RGB")
        text_page = page.get_textpage()
        if text_page.count_chars() > MOST_PAGE_CHARACTERS:
            raise DocumentBroken
        text, words = _placed(_composed(_letters(text_page)), _Picture(page, *picture.size))
        scan = None if text.strip() else _scan(page, max(width, height))
    except (pdfium.PdfiumError, ValueError) as error:
        raise DocumentBroken from error
    jpeg, across, down = pictured(picture)
    return ParsedPage(number, text, tuple(words), jpeg, across, down, scan)


def _scan(page: pdfium.PdfPage, longest: float) -> Scan | None:
    """Of a page that has no letters; None if there is nothing on it at all."""
    gray = page.render(scale=min(_SCAN_SCALE, _MOST_SCAN_SIDE / max(longest, 1)), grayscale=True).to_pil().convert("L")
    darkest, lightest = gray.getextrema()
    return Scan(gray.width, gray.height, gray.tobytes()) if darkest != lightest else None


def _letters(text_page: pdfium.PdfTextPage) -> Iterator[_Letter]:
    box = raw.FS_RECTF()
    for at in range(text_page.count_chars()):
        code = raw.FPDFText_GetUnicode(text_page, at)
        letter = chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else ""
        if not letter or letter in _HYPHENS or letter == "\r" or (letter < " " and letter != "\n"):
            continue
        has_box = raw.FPDFText_GetLooseCharBox(text_page, at, box) and not letter.isspace()  # as high as its line
        yield _Letter(letter, (box.left, box.bottom, box.right, box.top) if has_box else None)


def _composed(letters: Iterable[_Letter]) -> Iterator[_Letter]:
    """In NFC: marks, and vowels and finals of Hangul, go with the letter they belong to."""
    before: _Letter | None = None
    for letter in letters:
        joins = unicodedata.combining(letter.text) or _MEDIAL <= letter.text <= _LAST
        if before is not None and joins:
            before = _Letter(before.text + letter.text, _union(before.box, letter.box))
            continue
        if before is not None:
            yield _Letter(unicodedata.normalize("NFC", before.text), before.box)
        before = letter
    if before is not None:
        yield _Letter(unicodedata.normalize("NFC", before.text), before.box)


class _Picture:
    """From a page's points to parts of its picture, however it is turned or cropped."""

    def __init__(self, page: pdfium.PdfPage, width: int, height: int) -> None:
        self._page = page
        self._size = width, height

    def place(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Left, top, right, bottom, from 0 to 1."""
        (x0, y0), (x1, y1) = self._point(box[0], box[1]), self._point(box[2], box[3])
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def _point(self, x: float, y: float) -> tuple[float, float]:
        across, down = ctypes.c_int(), ctypes.c_int()
        raw.FPDF_PageToDevice(self._page, 0, 0, *self._size, 0, x, y, across, down)
        return across.value / self._size[0], down.value / self._size[1]


def _placed(letters: Iterable[_Letter], picture: _Picture) -> tuple[str, list[WordBox]]:
    """The text, and a box for each run without a gap."""
    text: list[str] = []
    words: list[WordBox] = []
    length, start = 0, 0
    box: tuple[float, float, float, float] | None = None
    for letter in (*letters, _Letter("", None)):
        if letter.box is None and box is not None:
            words.append(WordBox(start, length, *picture.place(box)))
            box = None
        elif letter.box is not None:
            start = start if box is not None else length
            box = _union(box, letter.box)
        text.append(letter.text)
        length += len(letter.text)
    return "".join(text), words


def _union(
    one: tuple[float, float, float, float] | None, other: tuple[float, float, float, float] | None
) -> tuple[float, float, float, float] | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
