"""Text files: UTF-8, UTF-16 with its mark, or the encoding of older Korean ones."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from shared.document_errors import DocumentBroken
from workers.ingest.parsing.parts import tidy_line

_PARAGRAPHS = re.compile(r"\n[ \t]*\n")
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def decoded(data: bytes) -> str:
    """Raises DocumentBroken."""
    marked = [encoding for mark, encoding in _MARKS.items() if data.startswith(mark)]
    for encoding in marked or ["utf-8", "cp949"]:
        try:
            return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            continue
    raise DocumentBroken


def plain_blocks(data: bytes) -> Iterator[str]:
    for paragraph in _PARAGRAPHS.split(decoded(data)):
        yield "\n".join(tidy_line(line) for line in paragraph.splitlines())
