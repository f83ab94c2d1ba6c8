"""One open page in both themes at three widths: what axe-core says of it, whether it fits, what it loads of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page

WIDTHS = (360, 820, 1280)
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_HEIGHT = 800
_GRAVE = ("serious", "critical")
_VIOLATIONS = "async () => (await axe.run(document, { resultTypes: ['violations'] })).violations"
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_BYTES = """() => [...new Map(performance.getEntriesByType("resource")
    .filter(({ name, initiatorType }) => initiatorType !== "xmlhttprequest" && /\\.(js|css)$/.test(name))
    .map(({ name, decodedBodySize }) => [name, decodedBodySize])).values()]
  .reduce((sum, bytes) => sum + bytes, 0)"""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of a page that nobody should meet. `is_grave`: axe-core calls it serious or critical."""

    what: str
    is_grave: bool


async def faults(page: Page, name: str, pictures: Path | None) -> AsyncIterator[Fault]:
    """In every theme at every width; `pictures`: where a picture of each is kept."""
    await page.evaluate(AXE_SCRIPT)  # not by a script element: the page's own policy holds
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": _HEIGHT})
            where = f"{name}, {theme}, {width} px"
            for violation in await page.evaluate(_VIOLATIONS):
                yield _fault(violation, where)
            if (more := await page.evaluate(_OVERFLOW)) > 0:
                yield Fault(f"{where}: {more} px wider than the screen", is_grave=False)
            if pictures:
                file = name.strip("/").translate(str.maketrans("/<>?=, ", "-------"))
                await page.screenshot(path=pictures / f"{file or 'home'}-{theme}-{width}.png")


async def js_css_bytes(page: Page) -> int:
    """Of our own, as they were before any compression. What axe-core fetches again does not count."""
    return int(await page.evaluate(_BYTES))


def _fault(violation: dict[str, Any], where: str) -> Fault:
    node = violation["nodes"][0]
    what = f"{where}: {violation['impact']} {violation['id']}, {len(violation['nodes'])} times, at {node['html'][:160]}"
    return Fault(f"{what} {node.get('failureSummary', '')[:240]}", violation["impact"] in _GRAVE)
