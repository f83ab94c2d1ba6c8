"""Pages of a text with pictures in it: parts of text as ever (parts.py), and each picture a page of its own, behind the
part it stands in, whose letters are read like a scan's."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from shared.document_errors import DocumentError, DocumentWithoutText
from workers.ingest.parsing.parsed import ParsedPage
from workers.ingest.parsing.parts import parts_of
from workers.ingest.parsing.picture import is_picture, picture_page


def illustrated_pages(
    pieces: Iterable[str | bytes], first_page: int, most_pages: int
) -> tuple[int, Iterator[ParsedPage]]:
    """How many there are (or one more than may be), and those from `first_page`. Raises DocumentWithoutText."""
    found = list(itertools.islice(_pages(pieces), most_pages + 1))
    if not found:
        raise DocumentWithoutText
    return len(found), (_drawn(page, number) for number, page in enumerate(found, 1) if number >= first_page)


def _pages(pieces: Iterable[str | bytes]) -> Iterator[ParsedPage | bytes]:
    known = (piece for piece in pieces if isinstance(piece, str) or is_picture(piece))
    for is_text, group in itertools.groupby(known, lambda piece: isinstance(piece, str)):
        if is_text:
            yield from parts_of(piece for piece in group if isinstance(piece, str))
        else:
            yield from (piece for piece in group if isinstance(piece, bytes))


def _drawn(page: ParsedPage | bytes, number: int) -> ParsedPage:
    """A picture that is damaged further in is an empty page: the others still answer."""
    if isinstance(page, ParsedPage):
        return replace(page, number=number)
    try:
        return picture_page(page, number)
    except DocumentError:
        return ParsedPage(number, "")
