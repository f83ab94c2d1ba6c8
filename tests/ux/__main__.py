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

from tests.e2e.conftest import sign_up
from tests.service import ROOT
from tests.ux.addresses import PAGES
from tests.ux.house import House, running_house
from tests.ux.long_transcript import TURNS, slowest_ms
from tests.ux.looking import WIDTHS, faults, js_css_bytes
from tests.ux.tasks import MOST_PRESSES, presses_of_all
from tests.ux.walk import every_page

_BEGUN = time.monotonic()
_MOST_BYTES = 60_000
_MOST_MS = 100
_BASES = {"base.html", "card.html"}


async def measure(pictures: Path | None) -> tuple[dict[str, Any], bool]:
    """What the report says, and whether all of it is as it should be."""
    async with running_house() as house:
        slowest, what = await slowest_ms(house)
        _say(f"with {2 * TURNS} messages: {slowest:.0f} ms ({what})")
        tasks = await _presses(house)
        _say(f"presses: {tasks}")
        pages, grave, most_bytes, is_narrow = await _look(house, pictures)
        forgotten = _forgotten(house)
    for name in forgotten:
        _say(f"forgotten: {name}")
    found = {"pages": pages, "axe_serious": grave, "js_css_bytes": most_bytes, "long_transcript_ms": slowest}
    is_quick = slowest < _MOST_MS and max(tasks.values()) <= MOST_PRESSES
    is_whole = not grave and not forgotten and is_narrow and most_bytes <= _MOST_BYTES
    return found | {"tasks": tasks}, is_quick and is_whole


async def _presses(house: House) -> dict[str, int]:
    """By task: the most that it takes anybody, at a desk or on a phone."""
    most: dict[str, int] = {}
    for width in (min(WIDTHS), max(WIDTHS)):
        context = await house.browser.new_context(locale="ko-KR", viewport={"width": width, "height": 760})
        page = await context.new_page()
        await sign_up(page, house.site.url)
        presses = await presses_of_all(page, is_phone=width == min(WIDTHS))
        most = {name: max(count, most.get(name, 0)) for name, count in presses.items()}
        await context.close()
    return most


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
