"""What a file is, by its bytes; only which kind of text a text is, its name may say."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

from shared.document_errors import DocumentEmpty, DocumentEncrypted, DocumentKindUnknown
from shared.documents import DocumentKind

MOST_NAME_CHARACTERS = 120

_HEAD = 1024  # bytes in which a PDF has to say that it is one
_PICTURES = {b"\x89PNG\r\n\x1a\n": DocumentKind.PNG, b"\xff\xd8\xff": DocumentKind.JPEG}
_ARCHIVE, _COMPOUND = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BODIES = {b"word/document.xml": DocumentKind.DOCX, b"Contents/section0.xml": DocumentKind.HWPX}
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_ENDINGS = {
    ".md": DocumentKind.MARKDOWN,
    ".markdown": DocumentKind.MARKDOWN,
    ".html": DocumentKind.HTML,
    ".htm": DocumentKind.HTML,
}
_LOOKS_LIKE_HTML = ("<!doctype html", "<html")


def kind_of(name: str, data: bytes) -> DocumentKind:
    """Raises DocumentEmpty, DocumentEncrypted, DocumentKindUnknown."""
    if not data:
        raise DocumentEmpty
    if b"%PDF-" in data[:_HEAD]:
        return DocumentKind.PDF
    for first, kind in _PICTURES.items():
        if data.startswith(first):
            return kind
    if data.startswith(_ARCHIVE):
        for body, kind in _BODIES.items():
            if body in data:
                return kind
    if data.startswith(_COMPOUND) and _ENCRYPTED_PACKAGE in data:
        raise DocumentEncrypted
    if not _is_text(data):
        raise DocumentKindUnknown
    ending = PurePosixPath(name).suffix.lower()
    if ending not in _ENDINGS and data.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith(
        tuple(each.encode() for each in _LOOKS_LIKE_HTML)
    ):
        return DocumentKind.HTML
    return _ENDINGS.get(ending, DocumentKind.TEXT)


def tidy_name(name: str) -> str:
    """NFC, without its folders and what cannot be seen; the end of a long one is kept."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in last).split())
    return shown[-MOST_NAME_CHARACTERS:]


def _is_text(data: bytes) -> bool:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True  # UTF-16; whether it can be read is the parser's to say
    if b"\x00" in data:
        return False
    return any(_is_encoded(data, encoding) for encoding in ("utf-8", "cp949"))


def _is_encoded(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
