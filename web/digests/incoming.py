"""What people send to be digested: fields, files, files of JSON. Pure; what cannot be used is refused with a reason."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from shared.digest_errors import DigestEmpty, DigestJsonInvalid, DigestOfPicture, DigestTooLarge
from shared.digests import ArticleInput, fingerprint
from shared.document_kinds import MOST_NAME_CHARACTERS, kind_of, tidy_name
from shared.documents import DocumentKind
from shared.errors import InputError
from shared.store.digests import Incoming
from web.forms import tidy

_KIB = 1 << 10
_HTML = re.compile(r"\s*<(?:!doctype|html|head|body|main|article|section|div|p|h[1-6]|span|table)\b", re.IGNORECASE)
_LONGEST_PLACE = 100  # characters
_SCANS = (DocumentKind.PNG, DocumentKind.JPEG)


def of_article(article: ArticleInput, most_kib: int) -> Incoming:
    """Raises DigestEmpty, DigestTooLarge, DigestOfPicture, DocumentKindUnknown, MessageInvalid."""
    data = article.content.encode()
    if not article.content.strip():
        raise DigestEmpty
    _require_size(data, most_kib)
    kind = _kind_of("article.md", data)
    if _HTML.match(article.content):
        kind = DocumentKind.HTML
    given = article.model_dump(exclude={"content"}, exclude_none=True, exclude_defaults=True)
    given |= {name: tidy(text, len(text)).strip() for name, text in given.items() if isinstance(text, str)}
    name = given.get("title") or _first_line(article.content)
    key = fingerprint(data, json.dumps(given, sort_keys=True))
    return Incoming(name[:MOST_NAME_CHARACTERS], kind, given, data, key)


def of_file(name: str, data: bytes, most_kib: int) -> Incoming:
    """A document of any kind that is read elsewhere too, but for scans. Raises DigestError, DocumentError."""
    if not data.strip():
        raise DigestEmpty
    _require_size(data, most_kib)
    shown, kind = tidy_name(name), _kind_of(name, data)
    return Incoming(shown, kind, {}, data, fingerprint(data, shown))


def of_json(raw: Any, most_kib: int, place: int = 0) -> Incoming:
    """One article of a batch: what is wrong with it is kept as its refusal."""
    try:
        return of_article(_article(raw), most_kib)
    except InputError as refusal:
        title = raw.get("title") if isinstance(raw, dict) else None
        name = title[:MOST_NAME_CHARACTERS] if isinstance(title, str) and title.isprintable() else ""
        key = fingerprint(json.dumps(raw, sort_keys=True))
        return Incoming(name or f"#{place + 1}", DocumentKind.TEXT, {}, b"", key, refusal)


def articles_in(data: bytes) -> list[Any]:
    """A file of JSON: an article, a list of them, or one a line. Raises DigestJsonInvalid, DigestEmpty."""
    if not data.strip():
        raise DigestEmpty
    try:
        whole = from_json(data, allow_inf_nan=False)
    except ValueError:
        lines = [line for line in data.splitlines() if line.strip()]
        try:
            return [from_json(line, allow_inf_nan=False) for line in lines]
        except ValueError as error:
            raise DigestJsonInvalid(where="JSON") from error
    return whole if isinstance(whole, list) else [whole]


def is_json(name: str) -> bool:
    return name.lower().endswith((".json", ".jsonl"))


def _article(raw: Any) -> ArticleInput:
    try:
        return ArticleInput.model_validate(raw, strict=True)
    except ValidationError as error:
        if isinstance(raw, dict) and raw.get("content") in ("", None):
            raise DigestEmpty from error
        where = ".".join(map(str, error.errors(include_url=False)[0]["loc"])) or "{}"
        raise DigestJsonInvalid(where=where[:_LONGEST_PLACE]) from error


def _kind_of(name: str, data: bytes) -> DocumentKind:
    kind = kind_of(name, data)
    if kind in _SCANS:
        raise DigestOfPicture
    return kind


def _require_size(data: bytes, most_kib: int) -> None:
    if len(data) > most_kib * _KIB:
        raise DigestTooLarge(limit=most_kib)


def _first_line(text: str) -> str:
    line = next((line.strip(" #\t") for line in text.splitlines() if line.strip(" #\t-")), "")
    return "".join(letter if letter.isprintable() else " " for letter in line)
