"""A comparison for people: Markdown for papers, and one HTML file that fetches nothing, with answers side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

_TEMPLATE = Path(__file__).with_name("page.html.jinja")
_MARKS = {"better": "▲", "worse": "▼", "unclear": "·"}


def write(result: Mapping[str, Any], folder: Path) -> None:
    """compare.json, compare.md and compare.html."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / "compare.md").write_text(markdown(result), encoding="utf-8")
    (folder / "compare.html").write_text(html(result), encoding="utf-8")


def markdown(result: Mapping[str, Any]) -> str:
    """The table: a row for each number, a column for each model. ▲ ▼: surely better or worse than the first one."""
    labels = list(result["models"])
    lines = ["| | " + " | ".join(map(_plain, labels)) + " |", "|---|" + "---|" * len(labels)]
    for name, cells in result["table"].items():
        lines.append(f"| {_plain(name)} | " + " | ".join(cell_text(cells[label]) for label in labels) + " |")
    return "\n".join(lines) + "\n"


def html(result: Mapping[str, Any]) -> str:
    """The page, in Korean."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.globals["cell_text"] = cell_text
    shown: dict[str, list[Any]] = {}
    for answer in result["answers"]:
        shown.setdefault(answer["set"], []).append(answer)
    most = result["recipe"]["samples"]
    samples = {name: answers[:most] for name, answers in shown.items()}
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(result=result, samples=samples)


def cell_text(cell: Mapping[str, Any] | None) -> str:
    """`0.512 [0.470, 0.553] ▲`; empty where nothing was measured."""
    if cell is None:
        return ""
    mark = _MARKS.get(cell.get("than_first", ""), "")
    return f"{cell['value']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}] {mark}".strip()


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
