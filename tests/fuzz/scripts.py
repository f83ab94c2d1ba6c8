"""Hostile words in every place that keeps them, looked at with a real browser: nothing may run.

Counted are calls of a canary, dialogs, attempts that the page's policy stopped, and markup that could run at a click.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from shared.ids import new_id
from tests.fuzz.corpus import SCRIPTS
from tests.fuzz.house import House
from tests.fuzz.tally import Tally
from tests.service import Person
from web.keys import MOST_KEYS

_ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_TOGETHER = 12  # hostile pieces in one message
_NAME = "<img src=x onerror=canary(1)>"
_REASON = "살펴볼 까닭 <script>canary(1)</script> <img src=x onerror=canary(1)>"
_WITHIN_MS = 15_000
_WATCH = """
document.addEventListener('securitypolicyviolation', event =>
  window.violation(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""
# What a browser would run or load at a click, or would have without the policy.
_LOOK = """() => [...document.querySelectorAll('*')].flatMap(element => {
  const found = [...element.attributes].filter(({name, value}) =>
    name.startsWith('on') || /^\\s*(javascript|vbscript|data):/i.test(value) && !/^data:image\\/svg/.test(value)
      && ['href', 'src', 'action', 'formaction', 'xlink:href', 'srcdoc'].includes(name));
  const isStrange = element.matches('iframe, object, embed, base, frame, link:not([href^="/static/"]):not([rel=icon]),'
    + 'script:not([src^="/static/"]), style, meta[http-equiv], form[action^="http"], [style]');
  return found.length || isStrange ? [element.outerHTML.slice(0, 200)] : [];
})"""
_SETTLED = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))"


def furnish(house: House) -> None:
    """A person and an operator whose every word is hostile."""
    email = f'"><img/src=x/onerror=canary(1)>{new_id()[-8:]}@example.com'
    hostile = house.settle("hostile", called=_NAME, email=email)
    for number in range(0, len(SCRIPTS), _TOGETHER):
        path = house.ask("hostile", "\n\n".join(SCRIPTS[number : number + _TOGETHER]))
        hostile.post(path, f"{path}/rename", title=SCRIPTS[number][:60])
    for script in SCRIPTS[:MOST_KEYS]:
        hostile.post("/keys", "/keys", name=script[:40])
    house.log_in("hostile", user_agent="<script>canary(1)</script>")._client.close()
    house.settle_operator("curious", called=_NAME)
    house.let_in("curious", email, _REASON)


class Watcher:
    """Opens pages as one person, and counts what runs."""

    def __init__(self, context: BrowserContext, address: str, tally: Tally) -> None:
        self._context = context
        self._address = address
        self._tally = tally
        self._at = ""

    async def begin(self) -> Page:
        context = self._context
        await context.expose_binding("canary", lambda source, *arguments: self._ran("the canary sang"))
        await context.expose_binding("violation", lambda source, what: self._ran(f"the policy stopped {what}"))
        await context.add_init_script(_WATCH)
        page = await context.new_page()
        page.on("dialog", self._on_dialog)
        page.on("request", lambda request: self._on_request(request.url))
        return page

    async def look(self, page: Page, path: str) -> None:
        self._at = path
        self._tally.requests += 1
        await page.goto(f"{self._address}{path}", wait_until="load", timeout=_WITHIN_MS)
        await self.look_here(page)

    async def look_here(self, page: Page) -> None:
        await page.evaluate(_SETTLED)
        for found in await page.evaluate(_LOOK):
            self._ran(f"markup {found}")

    def _ran(self, what: str) -> None:
        self._tally.script(f"{self._at}: {what}")

    async def _on_dialog(self, dialog: Any) -> None:
        self._ran(f"a dialog: {dialog.message}")
        await dialog.dismiss()

    def _on_request(self, url: str) -> None:
        if not url.startswith((f"{self._address}/", "data:", "about:")):
            self._tally.fault(f"{self._at} asked another site for {url}")


async def watch(house: House, tally: Tally, *, live: Sequence[str], reflected: Sequence[str]) -> None:
    """All pages of who is hostile and of the operator; `live`: messages that are sent from the page, whose answer is
    watched while it comes; `reflected`: addresses that try to come back as markup."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    assert path, "install Chromium: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            await _pages(browser, house, tally, "curious", ("/ops/access",), _links(house, "curious", "/ops/access"))
            own = ("/chat", "/keys", "/account", "/notices", "/usage", "/account/delete", "/logout")
            page, watcher = await _pages(browser, house, tally, "hostile", own, _links(house, "hostile", "/chat"))
            for address in reflected:
                await watcher.look(page, address)
            for message in live:
                await watcher.look(page, "/chat")
                await page.locator("#message").fill(message)
                await page.locator("[data-send]").click()
                await page.locator('.answer[data-state="done"]').last.wait_for(timeout=_WITHIN_MS)
                await watcher.look_here(page)
        finally:
            with contextlib.suppress(Exception):  # a browser that broke has nothing left to close
                await browser.close()


async def _pages(
    browser: Browser, house: House, tally: Tally, name: str, own: Sequence[str], linked: Sequence[str]
) -> tuple[Page, Watcher]:
    context = await browser.new_context(locale="ko-KR")
    session = house.identities[name].session.decode()
    await context.add_cookies([{"name": "nunmal_session", "value": session, "url": house.address}])
    watcher = Watcher(context, house.address, tally)
    page = await watcher.begin()
    for path in (*own, *linked):
        await watcher.look(page, path)
    return page, watcher


def _links(house: House, name: str, begin: str) -> list[str]:
    """Every conversation that this person's pages lead to, and the question whether to delete the first."""
    person = house.people[name]
    found: dict[str, None] = {}
    grants = _hrefs(person, begin, f"{begin}/")
    for link in grants:
        found[link] = None
        if begin != "/chat":
            found |= dict.fromkeys(_hrefs(person, link, f"{link}/"))
    if begin == "/chat" and grants:
        found[f"{grants[0]}/delete"] = None
    return list(found)


def _hrefs(person: Person, page: str, prefix: str) -> list[str]:
    links = [str(link["href"]) for link in person._page(page).select("a[href]")]
    return list(dict.fromkeys(link for link in links if link.startswith(prefix) and not link.endswith("/delete")))
