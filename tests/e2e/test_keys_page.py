"""A key that was just made can be carried away: with one press, and without scripts too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.e2e.conftest import Site, sign_up

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def _make(page: Page, site: Site) -> str:
    await page.goto(f"{site.url}/keys")
    await page.get_by_label("이름").fill("노트북")
    await page.get_by_role("button", name="만들기").click()
    return await page.get_by_label("지금 한 번만 보여 드려요.").input_value()


async def test_one_press_copies_the_key(context: BrowserContext, person: Page, site: Site) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    secret = await _make(person, site)

    await person.get_by_role("button", name="복사하기").click()

    await expect(person.get_by_role("button", name="복사했어요")).to_be_visible()
    assert await person.evaluate("navigator.clipboard.readText()") == secret
    assert await site.store.keys.authenticate(secret)


async def test_without_scripts_the_key_is_saved_as_a_file(browser: Browser, site: Site) -> None:
    context = await browser.new_context(locale="ko-KR", java_script_enabled=False)
    page = await context.new_page()
    await sign_up(page, site.url)
    secret = await _make(page, site)

    await expect(page.locator("[data-copy]")).to_be_hidden()
    async with page.expect_download() as download:
        await page.get_by_role("link", name="파일로 저장").click()
    saved = Path(await (await download.value).path())

    assert await asyncio.to_thread(saved.read_text) == secret
    await context.close()
