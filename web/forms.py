"""What people send, read strictly: a form is UTF-8 or it is refused. Nothing is silently replaced or cut."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from quart import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder

from shared.errors import MessageInvalid
from shared.prompting import clean_text

_FORM_TYPE = "application/x-www-form-urlencoded"
_FILES_TYPE = "multipart/form-data"
_MOST_FIELDS = 32
_MOST_BYTES = 64 * 1024  # of a form without a message; longer ones are decoded in a thread
_MOST_MARKS = 100  # combining marks in a row; normalising a run of n takes n * n steps
_NFC_GROWTH = 4  # decomposed text is at most this many times as long as its NFC form


@dataclass(frozen=True, slots=True)
class SentFile:
    """`name`: what its sender calls it, which tells nothing of what it is."""

    field: str
    data: bytes
    name: str = ""


class Form(dict[str, str]):
    """Field names to values, the last of each name; a field that is not there reads as empty."""

    _pairs: Sequence[tuple[str, str]] = ()
    _files: Sequence[SentFile] = ()

    @classmethod
    def posted(cls, pairs: Sequence[tuple[str, str]], files: Sequence[SentFile] = ()) -> Form:
        form = cls(pairs)
        form._pairs, form._files = pairs, files
        return form

    def __missing__(self, name: str) -> str:
        return ""

    def every(self, name: str) -> list[str]:
        """All values of a field that may be repeated."""
        return [value for field, value in self._pairs if field == name]

    def named_files(self, name: str) -> list[SentFile]:
        """All files of a field, with what they are called."""
        return [file for file in self._files if file.field == name]

    def files(self, name: str) -> list[bytes]:
        """All files of a field."""
        return [file.data for file in self._files if file.field == name]


async def read_form(request: Request, *, is_long: bool = False, has_files: bool = False) -> Form:
    """The posted form; one that `is_long` holds a message, and may have files beside it where the route `has_files`.

    Raises: MessageInvalid: another content type, broken UTF-8 or too many fields.
            RequestEntityTooLarge: more than 64 KiB, or if it is long more than the app takes.
    """
    if not is_long and (request.content_length or 0) > _MOST_BYTES:
        raise RequestEntityTooLarge
    body = await request.get_data(cache=True, as_text=False, parse_form_data=False)
    if not is_long and len(body) > _MOST_BYTES:
        raise RequestEntityTooLarge
    if has_files and request.mimetype == _FILES_TYPE:
        return await asyncio.to_thread(_parse_parts, body, request.mimetype_params.get("boundary", ""))
    if body and request.mimetype != _FORM_TYPE:
        raise MessageInvalid
    if len(body) > _MOST_BYTES:
        return await asyncio.to_thread(_parse, body)
    return _parse(body)


def query_value(request: Request, name: str) -> str:
    """One value of the query, or "" if it is missing or unreadable."""
    try:
        return _parse(request.query_string)[name]
    except MessageInvalid:
        return ""


def tidy(text: str, limit: int) -> str:
    """NFC for text that should have at most `limit` characters; longer text comes back as it is, to be refused.

    Raises MessageInvalid: NUL, lone surrogates, or hundreds of combining marks on one letter.
    """
    if len(text) > limit * _NFC_GROWTH:  # first, for it costs nothing
        return text
    if _longest_run_of_marks(text) > _MOST_MARKS:
        raise MessageInvalid
    return clean_text(text)


def local_path(text: str) -> str:
    """`text` if it is a path on this site, else "": where to go on after log-in."""
    if not text.startswith("/") or text.startswith(("//", "/\\")) or not text.isprintable() or "\\" in text:
        return ""
    parts = urlsplit(text)
    return text if not parts.scheme and not parts.netloc else ""


def _parse(body: bytes) -> Form:
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:
        raise MessageInvalid from error
    return Form.posted(pairs)


def _parse_parts(body: bytes, boundary: str) -> Form:
    pairs: list[tuple[str, str]] = []
    files: list[SentFile] = []
    part: Field | File | None = None
    pieces: list[bytes] = []
    try:
        decoder = MultipartDecoder(boundary.encode("ascii"), max_parts=_MOST_FIELDS)
        decoder.receive_data(body)
        decoder.receive_data(None)
        while not isinstance(event := decoder.next_event(), Epilogue):
            if isinstance(event, Field | File):
                part, pieces = event, []
            elif isinstance(event, Data) and part is not None:
                pieces.append(event.data)
                if event.more_data:
                    continue
                if isinstance(part, Field):
                    pairs.append((part.name, b"".join(pieces).decode("utf-8")))
                elif part.filename or any(pieces):  # a field without a chosen file is sent without both
                    files.append(SentFile(part.name, b"".join(pieces), part.filename))
    except (ValueError, RequestEntityTooLarge) as error:
        raise MessageInvalid from error
    return Form.posted(pairs, files)


def _longest_run_of_marks(text: Iterable[str]) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        longest = max(longest, run)
    return longest
