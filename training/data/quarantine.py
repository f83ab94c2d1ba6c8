"""Where rows go that cannot be trained on: counted by file and reason, written down with their place, never raised.

The file can be read, repaired and read again: each line is `{file, row, reason, detail, content}`. What somebody did
not agree to give is counted, but its content is not kept.

How to run: `with Quarantine(path) as quarantine: rows = list(read_conversations(file, quarantine))`.
"""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO

MAX_CONTENT_CHARS = 20_000  # of a row that is kept to be repaired


class Reason(StrEnum):
    """Why a row cannot be used."""

    BROKEN_FILE = "broken_file"  # the rest of a file cannot be read
    NOT_JSON = "not_json"
    TOO_LARGE = "too_large"
    UNKNOWN_SHAPE = "unknown_shape"
    BAD_FIELD = "bad_field"  # missing, or of another type
    BROKEN_TEXT = "broken_text"  # broken UTF-8, NUL, a lone surrogate
    EMPTY_TURN = "empty_turn"
    UNKNOWN_ROLE = "unknown_role"
    WRONG_ORDER = "wrong_order"
    PICTURES_DIFFER = "pictures_differ"  # as many marks in the text as pictures are named
    NO_CONSENT = "no_consent"


class BadRow(ValueError):
    """A row that goes to the quarantine. It is always caught where rows are read."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Quarantine:
    """Takes bad rows. Without a path it counts only; its file exists if there was one, that of an earlier run goes."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.counts: Counter[tuple[str, Reason]] = Counter()  # by file and reason
        self._file: IO[str] | None = None

    def __enter__(self) -> Quarantine:
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, file: Path, row: int, bad: BadRow, text: str) -> None:
        """Count a row and write it down as it stood. `row` counts from 1: the line of JSONL, the place in a list."""
        self.counts[str(file), bad.reason] += 1
        if self.path is None:
            return
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")  # lone surrogates
        kept = "" if bad.reason is Reason.NO_CONSENT else text[:MAX_CONTENT_CHARS]
        fact = {"file": str(file), "row": row, "reason": bad.reason, "detail": bad.detail, "content": kept}
        self._file.write(json.dumps(fact, ensure_ascii=False) + "\n")

    def of_file(self, file: Path) -> Counter[Reason]:
        """How many rows of one file went here, by reason."""
        found: Counter[Reason] = Counter()
        for (name, reason), count in self.counts.items():
            if name == str(file):
                found[reason] += count
        return found
