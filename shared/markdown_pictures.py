"""Pictures of a Markdown text: where they are named, and how they come to lie in the text itself, as `data:` addresses.

Nothing is fetched: a picture is one that was sent along, or lies in the text already. Every other address stays a word.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

_LONGEST_CAPTION = 500  # a bracket that is never closed costs so much, once

_INLINE = re.compile(rf"(!\[(?:[^\[\]\\]|\\.){{0,{_LONGEST_CAPTION}}}\]\([ \t]*)(<[^<>\n]*>|[^\s()<>]+)")
_DEFINED = re.compile(r"^([ ]{0,3}\[[^\[\]\n]{1,200}\]:[ \t]*)(<[^<>\n]*>|\S+)", re.MULTILINE)
_TAG = re.compile(r"<img\b([^<>]*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""\b(src|alt)[ \t]*=[ \t]*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_DATA = re.compile(r"data:image/(?:png|jpe?g);base64,([A-Za-z0-9+/=%]*)", re.IGNORECASE)
_TAKEN = re.compile(r"nunmal-picture:(\d{1,6})\Z")


class TakenOut(NamedTuple):
    """A text whose `data:` addresses are short words in its place (`picture_number`), and what they held."""

    text: str
    pictures: list[bytes]


def with_pictures(text: str, pictures: Mapping[str, bytes]) -> tuple[str, set[str]]:
    """`text` with those of `pictures` (name to PNG or JPEG) in it that it names, and which they are. A name is the last
    part of an address, whatever its folder, case or escapes."""
    known = {_key(name): name for name in pictures}
    used: set[str] = set()

    def address(written: str) -> str | None:
        name = known.get(_key(written.strip("<>")))
        if name is None:
            return None
        used.add(name)
        kind = "png" if pictures[name].startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(pictures[name]).decode()}"

    def put(match: re.Match[str]) -> str:
        found = address(match[2])
        return match[0] if found is None else match[1] + found

    text = _without_tags(text, address)
    return _DEFINED.sub(put, _INLINE.sub(put, text)), used


def take_out(text: str) -> TakenOut:
    """A parser of Markdown would look at each of a million letters. What is no base64 is an empty picture."""
    pictures: list[bytes] = []

    def take(match: re.Match[str]) -> str:
        try:
            pictures.append(base64.b64decode(unquote(match[1]), validate=True))
        except (binascii.Error, ValueError):
            pictures.append(b"")
        return f"nunmal-picture:{len(pictures) - 1}"

    text = _DATA.sub(take, text)
    return TakenOut(_without_tags(text, lambda written: written if _TAKEN.match(written) else None), pictures)


def picture_number(address: str) -> int | None:
    """Which of the pictures that were taken out; None: something else."""
    match = _TAKEN.match(address)
    return int(match[1]) if match else None


def _without_tags(text: str, address: Callable[[str], str | None]) -> str:
    """Pictures as HTML writes them, as Markdown does: those that have an address."""

    def write(match: re.Match[str]) -> str:
        found = {name.lower(): one or other for name, one, other in _ATTRIBUTE.findall(match[1])}
        there = address(found.get("src", ""))
        caption = re.sub(r"[\[\]\\\s]+", " ", found.get("alt", ""))[:_LONGEST_CAPTION]
        return match[0] if there is None else f"![{caption}]({there})"

    return _TAG.sub(write, text)


def _key(address: str) -> str:
    """What is left of it when folders, escapes, case and ways of composing letters do not count."""
    path = address.partition("#")[0].partition("?")[0]
    if re.match(r"[a-z][a-z0-9+.-]*:|//", path, re.IGNORECASE):  # somewhere else: never one that was sent along
        return ""
    return unicodedata.normalize("NFC", unquote(path)).replace("\\", "/").rpartition("/")[2].casefold()
