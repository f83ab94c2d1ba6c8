"""What the worked examples make of data: `messages` rows in files that recipes name, and a table about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import ConfigError
from training.data.files import raw_rows

_QUANTILES = (0.5, 0.9, 0.99, 1.0)


def contents(file: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file of the data folder. Raises ConfigError: it is not there, or a row cannot be read."""
    if not file.is_file():
        raise ConfigError(f"no file {file}; --data-dir says where the data folder is")
    for row in raw_rows(file):
        if row.fault is not None or not isinstance(row.content, dict):
            raise ConfigError(f"{file}:{row.number} cannot be read")
        yield row.content


def is_held_out(key: str, share: float) -> bool:
    """Whether what bears this key is kept for tests: by its hash, so that it stays there when others come."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") < share * 2**32


def row_of(key: str, question: str, answer: str, instruction: str) -> dict[str, Any]:
    """A conversation of one question, behind an instruction where there is one."""
    said = (("system", instruction), ("user", question), ("assistant", answer))
    return {"id": key, "messages": [{"role": role, "content": text} for role, text in said if text]}


def write(folder: Path, files: Mapping[str, Sequence[dict[str, Any]]], facts: Iterable[str]) -> None:
    """`name.jsonl` for each, and eda.md: the facts, then how many rows each file has and how long they are."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [*facts, "", "| file | rows | question, letters: 50% 90% 99% most | answer, letters |", "|---|---|---|---|"]
    for name, found in files.items():
        write_rows(folder / f"{name}.jsonl", found)
        lines.append(f"| {name} | {len(found)} | {_lengths(found, -2)} | {_lengths(found, -1)} |")
    (folder / "eda.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_rows(file: Path, found: Iterable[dict[str, Any]]) -> None:
    """One a line."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
    file.write_text(text, encoding="utf-8")


def counted(title: str, counts: Mapping[str, int]) -> list[str]:
    """A Markdown table of how many there are of each, most first."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ["", f"| {title} | rows |", "|---|---|", *(f"| {name} | {count} |" for name, count in ordered)]


def _lengths(found: Sequence[dict[str, Any]], turn: int) -> str:
    lengths = [len(row["messages"][turn]["content"]) for row in found]
    return " ".join(f"{value:.0f}" for value in np.quantile(lengths, _QUANTILES)) if lengths else ""
