"""HWPX: paragraphs, headings and tables of Hangul's files, a ZIP of OWPML (KS X 6101), in order."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

from lxml import etree

from shared.document_errors import DocumentBroken, DocumentEncrypted
from workers.ingest.parsing.archive import require_harmless
from workers.ingest.parsing.parts import heading, tidy_line

_SECTION = re.compile(r"Contents/section(\d+)\.xml")
_HEADER, _MANIFEST = "Contents/header.xml", "META-INF/manifest.xml"
_OUTLINE = re.compile(r"(?:개요|outline) ?(\d+)", re.IGNORECASE)
_GAPS = {"lineBreak": "\n", "tab": " ", "nbSpace": " ", "fwSpace": " "}


def hwpx_blocks(data: bytes) -> Iterator[str]:
    """Raises what `require_harmless` raises, and DocumentBroken."""
    require_harmless(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            if _MANIFEST in names and b"encryption-data" in archive.read(_MANIFEST):
                raise DocumentEncrypted
            sections = sorted((int(match[1]), name) for name in names if (match := _SECTION.fullmatch(name)))
            if not sections:
                raise DocumentBroken
            levels = _levels(_parsed(archive.read(_HEADER))) if _HEADER in names else {}
            for _, name in sections:
                yield from _blocks(_parsed(archive.read(name)), levels)
    except (zipfile.BadZipFile, etree.XMLSyntaxError, RuntimeError, OSError, ValueError) as error:
        raise DocumentBroken from error


def _parsed(data: bytes) -> etree._Element:
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))


def _levels(header: etree._Element) -> dict[str, int]:
    """Of the styles that are headings, by their ids."""
    found = {}
    for style in header.iterfind(".//{*}style"):
        for name in (style.get("name", ""), style.get("engName", "")):
            if match := _OUTLINE.fullmatch(name.strip()):
                found[style.get("id", "")] = int(match[1])
    return found


def _blocks(section: etree._Element, levels: dict[str, int]) -> Iterator[str]:
    for paragraph in section.iterfind("{*}p"):
        text = _text(paragraph)
        level = levels.get(paragraph.get("styleIDRef", ""), 0)
        yield heading(level, text) if level and text.strip() else text
        for table in paragraph.iterfind("{*}run/{*}tbl"):
            for row in table.iterfind("{*}tr"):
                cells = (" ".join(map(_text, cell.iterfind(".//{*}p"))) for cell in row.iterfind("{*}tc"))
                yield " | ".join(" ".join(cell.split()) for cell in cells)


def _text(paragraph: etree._Element) -> str:
    """Its own: not that of tables in it."""
    pieces = []
    for text in paragraph.iterfind("{*}run/{*}t"):
        for element in text.iter():
            if element is not text:
                pieces.append(_GAPS.get(etree.QName(element).localname, "") if isinstance(element.tag, str) else "")
                pieces.append(element.tail or "")
            else:
                pieces.append(element.text or "")
    return "\n".join(tidy_line(line) for line in "".join(pieces).split("\n"))
