"""Raw rows out of JSON and JSONL files, gzipped or not, whatever is wrong with them.

What a file is stands in its first bytes, not in its name. A list that breaks off in the middle, a gzip that was not
copied whole and a line of broken UTF-8 give all rows that can be read, and a fault for the rest. It does not look
into the rows.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from training.data.quarantine import BadRow, Reason

MAX_ROW_BYTES = 16 * 2**20
_BLANK = b" \t\r\n"
_BETWEEN = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class RawRow:
    """One row as it stands in its file, or the reason why it cannot be read."""

    number: int  # from 1: the line of JSONL, the place in a JSON list
    text: str  # as it stands there
    content: Any = None  # what its JSON says
    fault: BadRow | None = None


def raw_rows(path: Path) -> Iterator[RawRow]:
    """Yield every row of a file. Raises: OSError: there is no such file, or it may not be read."""
    with path.open("rb") as plain:
        is_gzip = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        reader = _ReadableBytes(gzip.GzipFile(fileobj=plain) if is_gzip else plain)
        first = reader.first_byte()
        yield from _list_rows(reader) if first == b"[" else _line_rows(reader)


def bare_name(path: Path) -> str:
    """A file's name without what only says how it is written: `a.v1.jsonl.gz` is `a.v1`."""
    return path.name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".json")


class _ReadableBytes:
    """The bytes of a file as far as they can be unpacked; `fault` says why they end early."""

    def __init__(self, file: gzip.GzipFile | BufferedReader) -> None:
        self._file = file
        self._held = b""
        self.fault: BadRow | None = None
        self.blank_lines = 0  # before the first byte

    def first_byte(self) -> bytes:
        """The first byte that is not blank; a byte order mark is none."""
        while line := self._readline():
            self._held = line.removeprefix(b"\xef\xbb\xbf").lstrip(_BLANK)
            if self._held:
                break
            self.blank_lines += 1
        return self._held[:1]

    def line(self) -> bytes:
        """The next line, or the next piece of one that is longer than MAX_ROW_BYTES; empty at the end."""
        held, self._held = self._held, b""
        if held.endswith(b"\n"):
            return held
        return held + self._readline()

    def everything(self) -> bytes:
        lines = []
        while line := self.line():
            lines.append(line)
        return b"".join(lines)

    def _readline(self) -> bytes:
        if self.fault is not None:
            return b""
        try:
            return self._file.readline(MAX_ROW_BYTES + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            self.fault = BadRow(Reason.BROKEN_FILE, f"gzip ends or breaks: {error}")
            return b""


def _line_rows(reader: _ReadableBytes) -> Iterator[RawRow]:
    number = reader.blank_lines
    while line := reader.line():
        number += 1
        if len(line) > MAX_ROW_BYTES:
            start, tail = line[:200], line
            while tail and not tail.endswith(b"\n"):
                tail = reader.line()
            detail = f"a line of more than {MAX_ROW_BYTES} bytes"
            yield RawRow(number, _text(start), fault=BadRow(Reason.TOO_LARGE, detail))
        elif line.strip(_BLANK):
            yield _parsed(number, _text(line).strip())
    if reader.fault:
        yield RawRow(number + 1, "", fault=reader.fault)


def _parsed(number: int, text: str) -> RawRow:
    try:
        return RawRow(number, text, json.loads(text))
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        return RawRow(number, text, fault=BadRow(Reason.NOT_JSON, str(error)))


def _list_rows(reader: _ReadableBytes) -> Iterator[RawRow]:
    text = _text(reader.everything())
    place, number = text.index("[") + 1, 0
    while True:
        between = _BETWEEN.match(text, place)
        assert between is not None  # it matches nothing, too
        place, number = between.end(), number + 1
        if text[place : place + 1] == "]":
            break
        start = place
        try:
            content, place = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            # Where the next row begins cannot be known: the rest is one bad row.
            fault = reader.fault or BadRow(Reason.NOT_JSON, f"the list breaks off: {error}")
            yield RawRow(number, text[start:], fault=fault)
            return
        yield RawRow(number, text[start:place], content)
    if reader.fault:
        yield RawRow(number, "", fault=reader.fault)


def _text(line: bytes) -> str:
    """Broken UTF-8 becomes lone surrogates, which no valid text has: the row is refused, its neighbours are not."""
    return line.decode("utf-8", errors="surrogateescape")
