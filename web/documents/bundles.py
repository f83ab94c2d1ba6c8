"""Files that were sent together: pictures that a Markdown file among them names go into it, and are no documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.document_errors import DocumentError
from shared.document_kinds import kind_of
from shared.documents import DocumentKind
from shared.markdown_pictures import with_pictures
from web.forms import SentFile

_PICTURES = (DocumentKind.PNG, DocumentKind.JPEG)


def bundled(files: Sequence[SentFile]) -> list[SentFile]:
    """In their order. Takes a while for megabytes: not on an event loop."""
    kinds = [_kind(file) for file in files]
    pictures = {
        file.name: file.data for file, kind in zip(files, kinds, strict=True) if kind in _PICTURES and file.name
    }
    if not pictures or DocumentKind.MARKDOWN not in kinds:
        return list(files)
    whole: list[SentFile] = []
    used: set[str] = set()
    for file, kind in zip(files, kinds, strict=True):
        text = _text(file.data) if kind is DocumentKind.MARKDOWN else None
        if text is None:
            whole.append(file)
            continue
        text, found = with_pictures(text, pictures)
        used |= found
        whole.append(replace(file, data=text.encode()) if found else file)
    return [file for file, kind in zip(whole, kinds, strict=True) if kind not in _PICTURES or file.name not in used]


def _kind(file: SentFile) -> DocumentKind | None:
    """None: whoever keeps it will refuse it."""
    try:
        return kind_of(file.name, file.data)
    except DocumentError:
        return None


def _text(data: bytes) -> str | None:
    """None: it is in another encoding, and stays as it is."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
