"""An answer that a model writes from a document, in a real browser: streamed, with chips, each leading to its page."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, FilePayload, Page, ViewportSize, expect

from tests.e2e.conftest import Site, running_site
from tests.e2e.test_documents import printed
from tests.ingest_house import ingest_worker
from tests.web_visitor import web_settings

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

_WIDER_THAN_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest_asyncio.fixture(loop_scope="session")
async def site(store_url: str) -> AsyncIterator[Site]:
    web = {"bcrypt_rounds": 4, "sign_ups_per_address": 100, "document_model": "nunmal"}
    async with running_site(store_url, web_settings(web=web)) as site:
        yield site


@pytest.mark.parametrize("width", [1280, 360])
async def test_each_sentence_has_its_source_while_the_answer_is_still_being_written(
    person: Page, site: Site, browser: Browser, width: int
) -> None:
    await person.set_viewport_size(ViewportSize(width=width, height=760))
    document = await printed(browser)
    await person.goto(f"{site.url}/documents")
    file = FilePayload(name="달빛 도서관.pdf", mimeType="application/pdf", buffer=document)
    await person.get_by_label("파일을 고르거나").set_input_files(file)
    await person.get_by_role("button", name="올리기").click()
    async with ingest_worker(site.store, site.broker):
        row = person.get_by_role("listitem").filter(has_text="달빛 도서관.pdf")
        await expect(row).to_contain_text("2쪽을 모두 읽었어요", timeout=60_000)

    async with site.worker():
        await person.get_by_label("무엇이 궁금한가요?").fill("책은 몇 권까지 빌릴 수 있나요?")
        await person.keyboard.press("Enter")
        answer = person.locator(".answer")
        site.say("책은 한 사람이 여섯 권까지 ")
        await expect(answer).to_contain_text("여섯 권까지", timeout=30_000)
        await expect(answer).to_have_attribute("data-state", "running")
        await expect(person.get_by_role("button", name="그만 쓰기")).to_be_visible()
        await expect(person.locator(".quote").first).to_contain_text("여섯 권까지")  # what was found is there already
        site.say("빌릴 수 있어요 [1].\n\n", "수영장도 함께 운영해요 [1].\n")
        await expect(answer.locator(".cite")).to_have_count(1)  # of the finished paragraph
        await expect(answer).to_have_attribute("data-state", "running")
        site.say("\n", then_end=True)
        await expect(answer.locator(".uncited")).to_have_text("근거 없음")
    await expect(person.get_by_role("button", name="그만 쓰기")).to_be_hidden()
    await expect(answer).not_to_contain_text("[1]")
    assert not await person.evaluate(_WIDER_THAN_SCREEN)
    seen = await answer.inner_html()
    await person.reload()
    assert (await answer.inner_html()).strip() == seen.strip()

    await answer.get_by_role("link", name="근거 1: 달빛 도서관.pdf · 2쪽").click()
    await expect(person.get_by_role("img", name="2쪽의 그림")).to_be_visible()
    assert await person.locator(".passage-box").count() >= 1
    await person.get_by_role("link", name="내 문서로 돌아가기").click()
    await person.get_by_text("지난 답 1개").click()
    await person.get_by_role("link", name="책은 몇 권까지 빌릴 수 있나요?").click()
    await person.get_by_text("이 답 지우기").click()
    await person.get_by_role("button", name="답 지우기").click()
    await expect(person.get_by_text("지난 답")).to_have_count(0)
