"""Word's files: paragraphs, headings and tables, in order."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import docx
from docx.table import Table
from docx.text.paragraph import Paragraph

from workers.ingest.parsing.archive import require_harmless
from workers.ingest.parsing.parts import heading, tidy_line

_HEADING = re.compile(r"(?:heading|제목) ?(\d)", re.IGNORECASE)


def docx_blocks(data: bytes) -> Iterator[str]:
    """Raises what `require_harmless` raises, and whatever the library likes."""
    require_harmless(data)
    for block in docx.Document(io.BytesIO(data)).iter_inner_content():
        if isinstance(block, Table):
            yield from _rows(block)
        else:
            text = "\n".join(tidy_line(line) for line in block.text.split("\n"))
            level = _level(block)
            yield heading(level, text) if level and text.strip() else text


def _rows(table: Table) -> Iterator[str]:
    for row in table.rows:
        cells = dict.fromkeys(cell._tc for cell in row.cells)  # a cell that spans columns comes once for each
        yield " | ".join(tidy_line(" ".join(cell.text for cell in row.cells if cell._tc is each)) for each in cells)


def _level(paragraph: Paragraph) -> int:
    """0: no heading."""
    name = (paragraph.style.name if paragraph.style is not None else None) or ""
    if name == "Title":
        return 1
    match = _HEADING.fullmatch(name)
    return int(match[1]) if match else 0
