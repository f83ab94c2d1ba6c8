"""What people send, read strictly: a form is UTF-8 or it is refused. Nothing is silently replaced or cut."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

from quart import Request
from werkzeug.exceptions import RequestEntityTooLarge

from shared.errors import MessageInvalid
from shared.prompting import clean_text

_FORM_TYPE = "application/x-www-form-urlencoded"
_MOST_FIELDS = 32
_MOST_BYTES = 64 * 1024  # of a form without a message; longer ones are decoded in a thread
_MOST_MARKS = 100  # combining marks in a row; normalising a run of n takes n * n steps
_NFC_GROWTH = 4  # decomposed text is at most this many times as long as its NFC form


class Form(dict[str, str]):
    """Field names to values; a field that is not there reads as empty."""

    def __missing__(self, name: str) -> str:
        return ""


async def read_form(request: Request, *, is_long: bool = False) -> Form:
    """The posted form; one that `is_long` holds a message.

    Raises: MessageInvalid: another content type, broken UTF-8 or too many fields.
            RequestEntityTooLarge: more than 64 KiB, or if it is long more than the app's MAX_CONTENT_LENGTH.
    """
    if not is_long and (request.content_length or 0) > _MOST_BYTES:
        raise RequestEntityTooLarge
    body = await request.get_data(cache=True, as_text=False, parse_form_data=False)
    if not is_long and len(body) > _MOST_BYTES:
        raise RequestEntityTooLarge
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
    return Form(pairs)


def _longest_run_of_marks(text: Iterable[str]) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        longest = max(longest, run)
    return longest
