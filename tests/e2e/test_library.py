"""One's own conversations in a real browser: found, tidied, shared with strangers, and brought along."""

from __future__ import annotations

import json

import pypdfium2
import pytest
from playwright.async_api import Browser, FilePayload, Page, ViewportSize, expect
from pypdfium2.raw import FPDF_PAGEOBJ_TEXT

from tests.e2e.conftest import Site, sign_up
from tests.scripted_worker import ScriptedWorker

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

_DESK = ViewportSize(width=1280, height=800)
_PHONE = ViewportSize(width=360, height=740)
_WIDER_THAN_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


async def _talk(person: Page, site: Site, question: str, *answer: str) -> str:
    """A new conversation with one finished answer; its address."""
    await person.goto(f"{site.url}/chat")
    site.say(*answer, then_end=True)
    await person.get_by_label("메시지").fill(question)
    await person.get_by_role("button", name="보내기").click()
    await person.wait_for_url("**/chat/*-*")
    await expect(person.locator("[data-role=assistant]")).to_have_attribute("data-state", "done")
    return person.url


@pytest.mark.parametrize("viewport", [_DESK, _PHONE], ids=["desk", "phone"])
async def test_a_conversation_is_found_by_an_inflected_word_and_tidied_away(
    person: Page, site: Site, worker: ScriptedWorker, viewport: ViewportSize
) -> None:
    await person.set_viewport_size(viewport)
    walk = await _talk(person, site, "어제 뭐 했어요?", "**공원**을 ", "천천히 걸었어요.")
    await _talk(person, site, "배고파요", "밥을 먹어요.")
    if viewport is _PHONE:
        await person.locator(".list-open").click()
    await person.get_by_role("link", name="대화 찾기").click()
    await person.get_by_label("찾을 말").fill("걷다")
    await person.keyboard.press("Enter")
    await expect(person.locator("mark")).to_have_text(["걸었어요"], timeout=30_000)  # the dictionary is loaded
    await person.get_by_role("heading", level=3).get_by_role("link").click()
    await person.wait_for_url(f"{walk}?turn=*#turn-*")
    await expect(person.locator(".turn:target .question")).to_be_in_viewport()

    await person.goto(f"{site.url}/library")
    await person.get_by_role("checkbox", name="어제 뭐 했어요? 고르기").check()
    await person.get_by_label("태그", exact=True).fill("산책")
    await person.get_by_role("button", name="태그 붙이기").click()
    await person.get_by_role("navigation", name="태그로 모아 보기").get_by_role("link", name="#산책").click()
    await expect(person.get_by_role("checkbox")).to_have_count(1)

    await person.goto(f"{site.url}/library")
    for box in await person.get_by_role("checkbox").all():
        await box.check()
    await person.get_by_role("button", name="지우기").click()
    await expect(person.get_by_role("heading")).to_have_text("대화 2개를 지울까요?")
    await person.get_by_role("button", name="지우기").click()
    await expect(person.get_by_text("아직 나눈 대화가 없어요.")).to_be_visible()
    assert await site.questions() == []


@pytest.mark.parametrize("viewport", [_DESK, _PHONE], ids=["desk", "phone"])
async def test_saved_as_pdf_a_conversation_can_be_read_and_searched(
    person: Page, site: Site, worker: ScriptedWorker, viewport: ViewportSize
) -> None:
    await person.set_viewport_size(viewport)
    table = "\n\n| 이름 | 값 |\n|---|---|\n| 튤립 | 3,000원 |\n"
    await _talk(person, site, "꽃값을 읊어 줄래요?", "**뷁뜯끓** 값은 삼천 원이에요.", table)
    await person.locator("summary[aria-label]").first.click()
    await person.get_by_role("link", name="공유하기·내보내기").click()
    await person.get_by_role("link", name="인쇄·PDF").click()
    await expect(person.get_by_role("heading", name="꽃값을 읊어 줄래요?")).to_be_visible()

    with pypdfium2.PdfDocument(await person.pdf(format="A4")) as document:
        page = document[0]
        text = page.get_textpage().get_text_range()
        written = [each for each in page.get_objects([FPDF_PAGEOBJ_TEXT]) if isinstance(each, pypdfium2.PdfTextObj)]
        carries_its_fonts = [each.get_font().is_embedded for each in written]

    for words in ("꽃값을 읊어 줄래요?", "뷁뜯끓 값은 삼천 원이에요.", "튤립", "3,000원"):
        assert words in text
    assert "브라우저의 인쇄 기능" not in text  # what is for the screen only
    assert written
    assert all(carries_its_fonts)


async def test_a_link_is_read_without_an_account_until_it_is_taken_back(
    person: Page, site: Site, worker: ScriptedWorker, browser: Browser
) -> None:
    await _talk(person, site, "바다가 뭐예요?", "넓은 **물**이에요.")
    await person.locator("summary[aria-label]").first.click()
    await person.get_by_role("link", name="공유하기·내보내기").click()
    await person.get_by_role("button", name="링크 만들기").click()
    link = await person.get_by_label("링크를 만들었어요").input_value()
    stranger = await browser.new_context(locale="ko-KR", viewport=_PHONE, java_script_enabled=False)
    page = await stranger.new_page()
    await page.goto(link)
    await expect(page.locator(".question")).to_have_text("바다가 뭐예요?")
    await expect(page.locator(".answer strong")).to_have_text("물")
    assert not await page.evaluate(_WIDER_THAN_SCREEN)

    await person.goto(f"{site.url}/library/links")
    await person.get_by_text("링크 거두기").click()
    await person.get_by_role("button", name="거두기").click()
    await expect(person.get_by_text("공유한 링크가 없어요.")).to_be_visible()
    assert (gone := await page.goto(link)) and gone.status == 404
    await stranger.close()


async def test_conversations_from_elsewhere_come_in_once_on_a_phone(person: Page, site: Site) -> None:
    text = {"role": "user", "content": "긴 제목의 대화를 가져와도 화면이 넘치지 않나요?", "timestamp": 1_700_000_000}
    answer = {"parentId": "u", "role": "assistant", "content": "네, 넘치지 않아요.", "model": "gemma"}
    chat = {"title": "가" * 59, "history": {"messages": {"u": text, "a": answer}, "currentId": "a"}}
    file = json.dumps([{"id": "w", "chat": chat}, {"title": "빈 것"}]).encode()
    await person.set_viewport_size(_PHONE)
    for outcome in ("새로 가져옴", "이미 있음"):
        await person.goto(f"{site.url}/library/import")
        await person.get_by_label("JSON 파일").set_input_files(
            files=FilePayload(name="chats.json", mimeType="application/json", buffer=file)
        )
        await person.get_by_role("button", name="가져오기").click()
        await expect(person.locator(".result tbody tr").first).to_contain_text(outcome)
        await expect(person.locator(".result tbody tr").last).to_contain_text("읽을 수 없는 형식")
        assert not await person.evaluate(_WIDER_THAN_SCREEN)
    await person.locator(".result a").click()
    await expect(person.locator("[data-role=assistant]")).to_have_text("네, 넘치지 않아요.")


async def test_pages_without_conversations_say_so(page: Page, site: Site) -> None:
    await sign_up(page, site.url)
    for path, sentence in (
        ("/library", "아직 나눈 대화가 없어요."),
        ("/library/links", "공유한 링크가 없어요."),
        ("/search?q=%EB%B0%94%EB%8B%A4", "찾은 대화가 없어요"),
    ):
        await page.goto(f"{site.url}{path}")
        await expect(page.locator("main").get_by_text(sentence)).to_be_visible()
    await page.close()
