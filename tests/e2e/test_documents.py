"""A person's own document in a real browser: uploaded, read while they watch, asked, seen on its page, and deleted."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, FilePayload, Page, ViewportSize, expect

from tests.e2e.conftest import Site
from tests.ingest_house import ingest_worker

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

_HTML = """<!doctype html><html lang="ko"><body>
<h1>달빛 도서관 이용 안내</h1><p>열람실은 아침 여덟 시에 열고 밤 열한 시에 닫는다.</p>
<h1 style="break-before: page">대출</h1><p>책은 한 사람이 여섯 권까지 빌릴 수 있다. 빌린 책은 두 주 안에 돌려준다.</p>
</body></html>"""
_WIDER_THAN_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


async def printed(browser: Browser) -> bytes:
    """As a browser makes it, with the fonts in it."""
    page = await browser.new_page()
    await page.set_content(_HTML)
    printed = await page.pdf(format="A4")
    await page.close()
    return printed


@pytest.mark.parametrize("width", [1280, 360])
async def test_a_pdf_is_read_asked_and_shown_on_its_page(
    person: Page, site: Site, browser: Browser, width: int
) -> None:
    await person.set_viewport_size(ViewportSize(width=width, height=760))
    document = await printed(browser)
    await person.goto(f"{site.url}/chat")
    await person.get_by_role("link", name="내 문서에 물어보기").click()
    file = FilePayload(name="달빛 도서관.pdf", mimeType="application/pdf", buffer=document)
    await person.get_by_label("파일을 고르거나").set_input_files(file)
    await person.get_by_role("button", name="올리기").click()
    row = person.get_by_role("listitem").filter(has_text="달빛 도서관.pdf")
    await expect(row).to_contain_text("차례를 기다리고 있어요")

    async with ingest_worker(site.store, site.broker):
        await expect(row).to_contain_text("2쪽을 모두 읽었어요", timeout=60_000)  # by itself: nobody reloads
    await person.get_by_label("무엇이 궁금한가요?").fill("책은 몇 권까지 빌릴 수 있나요?")
    await person.keyboard.press("Enter")
    cited = person.locator(".citations li").first
    await expect(cited).to_contain_text("여섯 권까지", timeout=30_000)  # the dictionary is loaded
    await cited.get_by_role("link", name="달빛 도서관.pdf · 2쪽").click()

    await expect(person.get_by_role("img", name="2쪽의 그림")).to_be_visible()
    assert await person.locator(".passage-box").count() >= 1
    assert not await person.evaluate(_WIDER_THAN_SCREEN)
    await person.get_by_role("link", name="내 문서로 돌아가기").click()
    await person.get_by_text("지우기", exact=True).first.click()
    await person.get_by_role("button", name="문서 지우기").click()
    await expect(person.get_by_text("아직 올린 문서가 없어요.")).to_be_visible()
