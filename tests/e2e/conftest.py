"""Chromium, and a site whose worker says what the test wants.

One Chromium serves all tests, so these fixtures, and the tests that use them, share the session's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright, expect

from shared.broker.memory import MemoryBroker
from shared.chat import Generation
from shared.ids import new_id
from shared.settings import Settings
from shared.store import Store
from tests.scripted_worker import ScriptedWorker
from tests.web_visitor import PASSWORD, web_settings
from web.listening import address_of, listening
from web.serve import serve_web

LANE = "chat.test"
_ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
# What Chromium itself logs when a test wants a page to be refused or takes the network away.
_WANTED = re.compile(r"the server responded with a status of (4\d\d|503)|net::ERR_INTERNET_DISCONNECTED")

expect.set_options(timeout=10_000)


class Site:
    """A web node and a worker under the test's control: it says `pieces`, one for each `go` it is given."""

    def __init__(self, url: str, store: Store, broker: MemoryBroker) -> None:
        self.url = url
        self.store = store
        self.broker = broker
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()

    def say(self, *pieces: str, then_end: bool = False) -> None:
        """Let the worker write these pieces now."""
        for piece in (*pieces, *([None] if then_end else [])):
            self._pieces.put_nowait(piece)

    def worker(self) -> ScriptedWorker:
        return ScriptedWorker(self.store, self.broker, LANE, self._speak)

    async def questions(self) -> list[str]:
        """All questions in the store, oldest first."""
        turns = await self.store.generations._generations.find({}).to_list(None)
        return [turn["question"] for turn in sorted(turns, key=lambda turn: str(turn["_id"]))]

    async def _speak(self, generation: Generation) -> AsyncIterator[str]:
        while (piece := await self._pieces.get()) is not None:
            yield piece


@contextlib.asynccontextmanager
async def running_site(store_url: str, settings: Settings | None = None) -> AsyncIterator[Site]:
    """On a database of its own, which is dropped at the end."""
    stop, ready = asyncio.Event(), asyncio.Event()
    async with Store(store_url, f"e2e_{new_id().replace('-', '')}") as store, MemoryBroker() as broker:
        with listening("127.0.0.1", 0) as sock:
            url = address_of("127.0.0.1", sock)
            serving = asyncio.create_task(
                serve_web(
                    settings or web_settings(), broker, store, node_id=new_id(), sock=sock, stop=stop, ready=ready
                )
            )
            async with asyncio.timeout(10):
                await ready.wait()
            yield Site(url, store, broker)
            stop.set()
            async with asyncio.timeout(5):
                await serving
        await store.drop()


@pytest_asyncio.fixture(loop_scope="session")
async def site(store_url: str) -> AsyncIterator[Site]:
    async with running_site(store_url) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="session")
async def worker(site: Site) -> AsyncIterator[ScriptedWorker]:
    async with site.worker() as worker:
        yield worker


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, or what stands for it elsewhere."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    assert path, "install Chromium: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="ko-KR", timezone_id="Asia/Seoul")
    yield context
    await context.close()


OpenPage = Callable[[], Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(context: BrowserContext) -> AsyncIterator[OpenPage]:
    """Opens tabs. At the end none of them may have logged an error or failed to load anything."""
    problems: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _WANTED.search(message.text):
            problems.append(message.text)

    def on_failed(request: Request) -> None:
        # An open stream fails when its page is left, and so does a beacon that is on its way then.
        is_left = "/stream" in request.url or request.url.endswith("/first-text")
        if not is_left and not _WANTED.search(str(request.failure)):
            problems.append(f"{request.url} {request.failure}")

    async def open_page() -> Page:
        page = await context.new_page()
        page.on("console", on_console)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", on_failed)
        return page

    yield open_page
    assert problems == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage) -> Page:
    return await open_page()


async def sign_up(page: Page, url: str) -> None:
    """From the form to /chat."""
    await page.goto(f"{url}/signup")
    await page.get_by_label("이메일").fill(f"{new_id()}@example.com")
    await page.get_by_label("이름").fill("김하늘")
    await page.get_by_label("비밀번호").fill(PASSWORD)
    await page.get_by_role("button", name="가입하기").click()
    await page.wait_for_url("**/chat")


@pytest_asyncio.fixture(loop_scope="session")
async def person(page: Page, site: Site) -> AsyncIterator[Page]:
    """A tab of somebody who has just signed up. It is closed before the site ends, for some pages ask it for news."""
    await sign_up(page, site.url)
    yield page
    await page.close()
