"""What may be done with a file of data: the table in the data folder's README, or a licence that lies beside the file.

It repeats what is written there and does not judge; only training/data/sources.py decides what may enter weights
that we publish.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_CELL = re.compile(r"(?<!\\)\|")
_NOTICES = ("LICENSE*", "LICENCE*", "DATA_LICENSE*", "License*", "NOTICE*", "UPSTREAM_README*", "README*")


@dataclass(frozen=True)
class Licence:
    """What is known of one file. Empty: nothing is."""

    name: str = ""
    origin: str = ""  # where it is from, with its version
    restrictions: str = ""
    notice: str = ""  # the name of the file in which the licence is written


def licence_table(data_dir: Path) -> dict[str, Licence]:
    """The README's table of files, by path inside the data folder. No README, or no table in it: nothing."""
    readme = data_dir / "README.md"
    if not readme.is_file():
        return {}
    table: dict[str, Licence] = {}
    heads: list[str] = []
    for line in readme.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            heads = []
            continue
        cells = [cell.strip() for cell in _CELL.split(line.strip().strip("|"))]
        if not heads:
            heads = cells
        elif len(cells) == len(heads):
            row = dict(zip(heads, cells, strict=True))
            origin = next((text for head, text in row.items() if head.startswith("source")), "")
            restrictions = row.get("restrictions", "").strip("-")
            table[row.get("file", "")] = Licence(row.get("licence", ""), origin, restrictions)
    return table


def licence_of(path: Path, data_dir: Path, table: dict[str, Licence]) -> Licence:
    """What is known of a file, from the table, else the name of a notice beside it."""
    path, data_dir = path.resolve(), data_dir.resolve()
    notices = sorted({found.name for pattern in _NOTICES for found in path.parent.glob(pattern)})
    notice = ", ".join(name for name in notices if (path.parent / name) != data_dir / "README.md")
    known = table.get(path.relative_to(data_dir).as_posix()) if path.is_relative_to(data_dir) else None
    if known is None:
        return Licence(notice=notice)
    return Licence(known.name, known.origin, known.restrictions, notice)
