"""Letters read from pictures of pages: passages drawn in small letters, through the reader that workers use."""

from __future__ import annotations

import random
import re
import time
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.documents import image_file, scan_of
from workers.ingest.ocr.base import OcrEngine
from workers.ingest.parsing.picture import picture_page

FAMILIES = ("Noto Sans CJK KR", "Noto Serif CJK KR")

_NEITHER = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")  # kana and Chinese letters, which neither model knows
_PASSAGES = 3  # of one page


async def characters_read(
    engine: OcrEngine, passages: Sequence[str], pixels: int, pages: int, seed: int
) -> dict[str, Any]:
    """`pages` for each family, of passages in letters that the models know. Share of characters, white space aside:
    1 - edit distance / length, over all pages together."""
    known = [passage for passage in passages if not _NEITHER.search(passage)]
    random.Random(seed).shuffle(known)
    characters = errors = 0
    rows = []
    for family in FAMILIES:
        for page in range(pages):
            text = "\n".join(known[page * _PASSAGES : (page + 1) * _PASSAGES])
            scan = picture_page(image_file(scan_of(text, pixels, family=family, width=50 * pixels), "PNG")).scan
            assert scan is not None
            begun = time.monotonic()
            read = (await engine.read(scan)).text
            seconds = time.monotonic() - begun
            wrong = edit_distance(_letters(text), _letters(read))
            characters += len(_letters(text))
            errors += wrong
            rows.append({"family": family, "length": len(_letters(text)), "wrong": wrong, "seconds": seconds})
    return {
        "pixels": pixels,
        "accuracy": 1 - errors / characters,
        "rows": rows,
    }


def edit_distance(one: str, other: str) -> int:
    """Levenshtein's, a row at a time."""
    letters = np.array([ord(letter) for letter in other], np.uint32)
    places = np.arange(len(other) + 1)
    row = places
    for number, letter in enumerate(one, 1):
        change = np.minimum(row[1:] + 1, row[:-1] + (letters != ord(letter)))
        row = np.minimum.accumulate(np.concatenate(([number], change)) - places) + places
    return int(row[-1])


def _letters(text: str) -> str:
    return "".join(unicodedata.normalize("NFC", text).split())
