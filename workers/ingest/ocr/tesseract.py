"""Tesseract, with its fast models of Korean and English (Debian: tesseract-ocr, tesseract-ocr-kor).

Its Korean model knows no Latin letters, and the two together take Korean words for Latin gibberish (문제를 for "SAS").
So a page is read twice: what has Hangul in it is as the Korean model alone read it, and the rest as both did. Its
table has the places of pieces of Korean words, and only its text has the spaces between words: both are asked for.
"""

from __future__ import annotations

import asyncio
import logging
import re
import unicodedata
from asyncio.subprocess import PIPE
from collections.abc import Iterable, Sequence
from shutil import which
from typing import NamedTuple

from shared.child_process import end_process, start_module
from shared.document_errors import OcrFailed, OcrUnavailable
from shared.documents import MOST_PAGE_CHARACTERS, WordBox
from shared.settings import environment_without_settings
from shared.telemetry import fields
from workers.ingest.ocr.base import Reading
from workers.ingest.parsing.parsed import Scan

log = logging.getLogger(__name__)

MODULE = "workers.ingest.ocr.process"
KOREAN, BOTH = "kor", "kor+eng"

_HANGUL = re.compile("[가-힣]")
_ONE_COLUMN = "4"  # its way to see a page; its own guess takes wide gaps between words for columns
_WORD_LEVEL, _COLUMNS = "5", 12  # of its table
_SAME_PLACE = 0.5  # share of the smaller one's side


class _Piece(NamedTuple):
    """In pixels; `gap`: the white space before it."""

    text: str
    gap: str
    left: int
    top: int
    right: int
    bottom: int


class Tesseract:
    """`within_s`: for one page, both readings together."""

    def __init__(self, within_s: float, program: str = "tesseract") -> None:
        self._within_s = within_s
        self._program = program
        self._found: str | None = None

    async def read(self, scan: Scan) -> Reading:
        """As OcrEngine says."""
        try:
            async with asyncio.timeout(self._within_s):
                found = await self._words(scan, KOREAN)
                if not all(_HANGUL.search(word.text) for word in found):
                    found = _together(found, await self._words(scan, BOTH))
        except (TimeoutError, OSError, ValueError) as error:
            log.warning("ocr_lost", extra=fields(reason=type(error).__name__))
            raise OcrFailed from error
        return _reading(found, scan)

    async def _words(self, scan: Scan, languages: str) -> list[_Piece]:
        arguments = ("stdin", "stdout", "-l", languages, "--psm", _ONE_COLUMN, "txt", "tsv")
        process = await start_module(MODULE, arguments=(await self._path(), *arguments))
        try:
            said, _ = await process.communicate(b"P5 %d %d 255\n" % (scan.width, scan.height) + scan.pixels)
        finally:
            await end_process(process)
        if process.returncode:
            raise OSError(f"tesseract ended with {process.returncode}")
        return _pieces(said.decode())

    async def _path(self) -> str:
        """Raises OcrUnavailable: it is not installed, or does not know Korean."""
        if self._found is None:
            path = which(self._program)
            if path is None or not {*BOTH.split("+")} <= await _languages(path):
                raise OcrUnavailable
            self._found = path
        return self._found


async def _languages(path: str) -> set[str]:
    process = await asyncio.create_subprocess_exec(
        *(path, "--list-langs"), stdout=PIPE, env=environment_without_settings(), start_new_session=True
    )
    said, _ = await process.communicate()
    return set(said.decode().split())


def _pieces(said: str) -> list[_Piece]:
    """Rows of the table: level, page, block, paragraph, line, word, left, top, width, height, trust, text. What has no
    such columns is the text."""
    lines = [line.split("\t") for line in said.splitlines()]
    text = "\n".join(line[0] for line in lines if len(line) < _COLUMNS)
    pieces: list[_Piece] = []
    end = 0
    for row in lines:
        if len(row) != _COLUMNS or row[0] != _WORD_LEVEL or not (word := row[-1].strip()):
            continue
        start = text.find(word, end)
        gap = _gap(text[end:start]) if start >= 0 else " "
        end = start + len(word) if start >= 0 else end
        left, top, width, height = map(int, row[6:10])
        pieces.append(_Piece(word, gap if pieces else "", left, top, left + width, top + height))
    return pieces


def _gap(between: str) -> str:
    if not between:
        return ""
    return "\n" * min(between.count("\n"), 2) or " "


def _together(korean: Sequence[_Piece], both: Sequence[_Piece]) -> list[_Piece]:
    """Words without Hangul as the other reading has them, where it saw one word in the same place."""
    merged = []
    for word in korean:
        others = [] if _HANGUL.search(word.text) else [other for other in both if _same_place(word, other)]
        merged.append(word._replace(text=others[0].text) if len(others) == 1 else word)
    return merged


def _same_place(one: _Piece, other: _Piece) -> bool:
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    width = min(one.right - one.left, other.right - other.left)
    height = min(one.bottom - one.top, other.bottom - other.top)
    return across > _SAME_PLACE * width and down > _SAME_PLACE * height


def _reading(pieces: Iterable[_Piece], scan: Scan) -> Reading:
    """Pieces without a gap between them are one word. Raises OcrFailed: too many letters."""
    text = ""
    words: list[WordBox] = []
    for piece in pieces:
        letters = unicodedata.normalize("NFC", piece.text)
        left, right = piece.left / scan.width, piece.right / scan.width
        top, bottom = piece.top / scan.height, piece.bottom / scan.height
        if words and not piece.gap:
            start, _, *box = words.pop()
            left, right = min(box[0], left), max(box[2], right)
            top, bottom = min(box[1], top), max(box[3], bottom)
        else:
            text += piece.gap
            start = len(text)
        text += letters
        words.append(WordBox(start, len(text), left, top, right, bottom))
    if len(text) > MOST_PAGE_CHARACTERS:
        raise OcrFailed
    return Reading(text, tuple(words))
