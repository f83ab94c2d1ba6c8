"""An article in a real browser: pasted, digested while the person watches, taken along, deleted; then a batch."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import FilePayload, Page, ViewportSize, expect

from tests.e2e.conftest import Site
from tests.ingest_house import digest_worker
from tests.unit.shared.test_digesting import KOREAN

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

_WIDER_THAN_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.mark.parametrize("width", [1280, 360])
async def test_an_article_is_pasted_digested_and_deleted(person: Page, site: Site, width: int) -> None:
    await person.set_viewport_size(ViewportSize(width=width, height=760))
    await person.goto(f"{site.url}/documents")
    await person.get_by_role("link", name="기술 글 요약").click()
    await person.get_by_label("글 붙여 넣기").fill(KOREAN)
    await person.get_by_role("button", name="요약하기").click()
    await expect(person.get_by_text("차례를 기다리고 있어요")).to_be_visible()

    async with digest_worker(site.store, site.broker):
        await expect(person.get_by_role("heading", name="난이도")).to_be_visible(timeout=60_000)  # by itself
    await expect(person.locator("#summary-title + ul")).to_contain_text("젊은 영역을 더 자주 살핍니다")
    assert not await person.evaluate(_WIDER_THAN_SCREEN)
    async with person.expect_download() as told:
        await person.get_by_role("link", name="JSON으로 내려받기").click()
    path = await (await told.value).path()
    assert json.loads(path.read_text("utf-8"))["summary_by"] == "extract"
    await person.get_by_text("지우기", exact=True).click()
    await person.get_by_role("button", name="요약 지우기").click()
    await expect(person.get_by_text("아직 요약한 글이 없어요.")).to_be_visible()


async def test_a_batch_shows_how_far_it_is(person: Page, site: Site) -> None:
    articles = [{"content": KOREAN, "title": f"{number}번"} for number in range(3)] + [{"content": ""}]
    file = FilePayload(name="글.json", mimeType="application/json", buffer=json.dumps(articles).encode())
    await person.goto(f"{site.url}/digests")
    await person.get_by_label("또는 파일을 고르거나").set_input_files(file)
    await person.get_by_role("button", name="요약하기").click()
    await expect(person.get_by_text("4편 가운데 1편을 끝냈어요")).to_be_visible()

    async with digest_worker(site.store, site.broker):
        await expect(person.get_by_text("4편 가운데 4편을 끝냈어요")).to_be_visible(timeout=60_000)
    await expect(person.get_by_text("빈 글은 요약할 수 없어요")).to_be_visible()
