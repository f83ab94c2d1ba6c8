"""A conversation in a real browser: live answer, reload in mid-answer, second tab, stop, log-out."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.conftest import OpenPage, Site, sign_up
from tests.scripted_worker import ScriptedWorker

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

_FIRST = ["안녕하세요. ", "**한글(Hangul)**은 ", "글자예요.\n\n", "- 자음 🙂\n", "- 모음\n\n"]
_REST = ["끝", "으로 ", "각각 ", "읽어요."]
_HTML_TEXT = "안녕하세요. 한글(Hangul)은 글자예요."


async def _ask(page: Page, text: str) -> None:
    await page.get_by_label("메시지").fill(text)
    await page.get_by_role("button", name="보내기").click()


async def test_sign_up_stream_reload_second_tab_and_log_out(
    person: Page, site: Site, worker: ScriptedWorker, open_page: OpenPage
) -> None:
    answer = person.locator("[data-role=assistant]")
    await _ask(person, "한글이 뭐예요?")
    await person.wait_for_url("**/chat/*-*")
    await expect(person.locator("[data-role=user]")).to_have_text("한글이 뭐예요?")
    await expect(person.get_by_role("button", name="멈추기")).to_be_visible()
    await expect(person.get_by_role("button", name="보내기")).to_have_count(0)

    site.say(*_FIRST)
    await expect(answer).to_have_attribute("data-state", "running")
    await expect(answer.locator("strong")).to_have_text("한글(Hangul)")
    await expect(answer).to_contain_text("모음")
    await expect(person.get_by_role("log")).to_have_attribute("aria-busy", "true")
    before = await answer.inner_text()

    await person.reload()
    await expect(answer).to_contain_text("모음")
    assert (await answer.inner_text()).split() == before.split()
    other = await open_page()
    await other.goto(person.url)
    await expect(other.locator("[data-role=assistant]")).to_contain_text("모음")

    site.say(*_REST, then_end=True)
    for page in (person, other):
        finished = page.locator("[data-role=assistant]")
        await expect(finished).to_have_attribute("data-state", "done")
        await expect(finished.locator("p")).to_have_text([_HTML_TEXT, "끝으로 각각 읽어요."])
        await expect(finished.locator("li")).to_have_text(["자음 🙂", "모음"])
        await expect(page.get_by_role("button", name="보내기")).to_be_visible()
        await expect(page.get_by_role("log")).to_have_attribute("aria-busy", "false")
    await person.reload()
    await expect(answer.locator("p")).to_have_text([_HTML_TEXT, "끝으로 각각 읽어요."])

    await person.get_by_role("button", name="로그아웃").click()
    await person.wait_for_url("**/login")
    await person.goto(other.url)
    assert "/login?next=" in person.url
    await expect(person.get_by_role("button", name="로그인")).to_have_count(1)


async def test_while_queued_the_answer_is_empty_and_the_line_stands_beside_it(person: Page, site: Site) -> None:
    await _ask(person, "아무도 없나요?")
    answer = person.locator("[data-role=assistant]")
    await expect(answer).to_have_attribute("data-state", "queued")
    await expect(person.locator("[data-note]")).to_contain_text("준비되는 대로 답할게요.", timeout=5000)
    assert await answer.inner_html() == ""

    site.say("이제 왔어요.", then_end=True)
    async with site.worker():
        await expect(answer).to_have_attribute("data-state", "done")
    assert await answer.inner_html() == "<p>이제 왔어요.</p>\n"
    await expect(person.locator("[data-note]")).to_be_hidden()


async def test_stop_ends_the_answer_and_the_next_question_can_be_asked(
    person: Page, site: Site, worker: ScriptedWorker
) -> None:
    await _ask(person, "길게 말해 주세요")
    site.say("여기까지 썼어요")
    answer = person.locator("[data-role=assistant]")
    await expect(answer).to_have_text("여기까지 썼어요")
    await person.get_by_label("메시지").fill("쓰다 만 다음 질문")
    await person.get_by_role("button", name="멈추기").click()
    await expect(answer).to_have_attribute("data-state", "stopped")

    await expect(person.locator("[data-note]")).to_have_text("여기서 멈췄어요.")
    await expect(person.get_by_label("메시지")).to_have_value("쓰다 만 다음 질문")
    await person.get_by_role("button", name="보내기").click()
    await expect(person.locator("[data-role=user]")).to_have_count(2)
    assert await site.questions() == ["길게 말해 주세요", "쓰다 만 다음 질문"]


async def test_the_answer_is_finished_although_the_browser_was_closed(
    person: Page, site: Site, worker: ScriptedWorker, open_page: OpenPage
) -> None:
    await _ask(person, "닫을게요")
    site.say("하나 ")
    await expect(person.locator("[data-role=assistant]")).to_have_text("하나")
    url = person.url
    await person.close()
    site.say("둘", then_end=True)
    async with asyncio.timeout(10):
        await worker.has_ended()

    again = await open_page()
    await again.goto(url)
    await expect(again.locator("[data-role=assistant]")).to_have_text("하나 둘")


async def test_a_dropped_connection_goes_on_where_it_was(person: Page, site: Site, worker: ScriptedWorker) -> None:
    await _ask(person, "끊어 볼게요")
    site.say("가나", "다라 ")
    answer = person.locator("[data-role=assistant]")
    await expect(answer).to_have_text("가나다라")
    await person.context.set_offline(True)
    await person.evaluate(
        "document.querySelector('chat-stream').parentNode.append(document.querySelector('chat-stream'))"
    )
    site.say("마바", "사아", then_end=True)
    await expect(person.locator("[data-note]")).to_contain_text("다시 이어 볼게요.")
    await person.context.set_offline(False)

    await expect(answer).to_have_attribute("data-state", "done", timeout=20_000)
    assert await answer.inner_text() == "가나다라 마바사아"


async def test_a_refused_message_keeps_what_was_typed(person: Page, site: Site) -> None:
    await _ask(person, "   ")
    await expect(person.get_by_role("alert")).to_have_text("내용을 적어 주세요.")
    await _ask(person, "가" * 8001)
    await expect(person.get_by_role("alert")).to_contain_text("8000자까지 보낼 수 있으니")
    await expect(person.get_by_label("메시지")).to_have_value("가" * 8001)

    assert person.url.endswith("/chat")
    assert await site.questions() == []


async def test_without_a_network_the_text_stays(person: Page) -> None:
    await person.context.set_offline(True)
    await _ask(person, "오프라인에서 쓴 글")

    await expect(person.get_by_role("alert")).to_contain_text("쓰신 글은 그대로 있어요.")
    await expect(person.get_by_label("메시지")).to_have_value("오프라인에서 쓴 글")


async def test_back_leads_to_the_empty_page_and_a_new_conversation_can_begin(
    person: Page, site: Site, worker: ScriptedWorker
) -> None:
    await _ask(person, "첫 이야기")
    site.say("네.", then_end=True)
    await expect(person.locator("[data-state=done]")).to_have_text("네.")
    await person.get_by_role("button", name="새 대화").click()
    await person.wait_for_url("**/chat")
    await expect(person.get_by_role("log")).to_have_count(0)
    await _ask(person, "둘째 이야기")
    await person.wait_for_url("**/chat/*-*")
    await expect(person.get_by_role("link", name="이야기")).to_have_text(["둘째 이야기", "첫 이야기"])
    await person.go_back()
    await person.wait_for_url("**/chat")
    await expect(person.get_by_role("log")).to_have_count(0)


async def test_rename_and_delete(person: Page, site: Site, worker: ScriptedWorker) -> None:
    await _ask(person, "처음 제목")
    site.say("네.", then_end=True)
    await expect(person.locator("[data-state=done]")).to_have_count(1)
    await person.locator(".sheet-head summary").click()
    await person.get_by_label("대화 이름").fill("바꾼 제목")
    await person.get_by_role("button", name="바꾸기").click()
    await expect(person.get_by_role("heading", name="바꾼 제목")).to_be_visible()
    await person.locator(".sheet-head summary").click()
    await person.get_by_role("link", name="이 대화 지우기").click()
    await person.get_by_role("button", name="지우기").click()
    await person.wait_for_url("**/chat")

    await expect(person.get_by_role("link", name="바꾼 제목")).to_have_count(0)


async def test_everything_works_without_javascript(browser: Browser, site: Site, worker: ScriptedWorker) -> None:
    context = await browser.new_context(java_script_enabled=False, locale="ko-KR")
    page = await context.new_page()
    await sign_up(page, site.url)
    await _ask(page, "스크립트 없이")
    await page.wait_for_url("**/chat/*-*")
    site.say("하나 ")
    link = page.get_by_role("link", name="답 새로 보기")
    answer = page.locator("[data-role=assistant]")
    async with asyncio.timeout(10):
        while (await answer.inner_text()).strip() != "하나":
            await link.click()
    await page.get_by_role("button", name="멈추기").click()
    async with asyncio.timeout(10):
        while await answer.get_attribute("data-state") != "stopped":
            await page.goto(page.url)
    await _ask(page, "   ")
    await expect(page.get_by_role("alert")).to_have_text("내용을 적어 주세요.")
    await page.get_by_role("button", name="English").click()
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url("**/login")
    await context.close()


@pytest.mark.parametrize("width", [360, 1280])
async def test_no_page_is_wider_than_the_screen(
    browser: Browser, site: Site, worker: ScriptedWorker, width: int
) -> None:
    context = await browser.new_context(viewport={"width": width, "height": 740})
    page = await context.new_page()
    await page.goto(f"{site.url}/signup")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await sign_up(page, site.url)
    site.say(
        "```python\n"
        + "x = '"
        + "가" * 300
        + "'\n```\n\n"
        + "나" * 300
        + "\n\n| "
        + "표 | " * 40
        + "\n|"
        + "---|" * 40,
        then_end=True,
    )
    await _ask(page, "다" * 300)
    await expect(page.locator("[data-state=done]")).to_have_count(1)
    page_width = await page.evaluate("document.documentElement.scrollWidth")
    hidden = await page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(window.main)")

    assert page_width <= width
    assert hidden <= 0
    await context.close()


async def test_the_list_of_conversations_opens_on_a_phone(browser: Browser, site: Site) -> None:
    context = await browser.new_context(viewport={"width": 360, "height": 740}, locale="ko-KR")
    page = await context.new_page()
    await sign_up(page, site.url)
    await expect(page.get_by_role("button", name="새 대화")).to_be_hidden()
    await page.get_by_role("button", name="대화 목록").click()
    await expect(page.get_by_role("button", name="새 대화")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="새 대화")).to_be_hidden()
    await context.close()


async def test_a_reader_who_scrolled_up_is_left_alone(person: Page, site: Site, worker: ScriptedWorker) -> None:
    await _ask(person, "아주 길게")
    site.say("줄\n\n" * 60)
    answer = person.locator("[data-role=assistant]")
    await expect(answer.locator("p")).to_have_count(59)
    position = "Math.round(document.getElementById('main').scrollTop)"
    end = "document.getElementById('main').scrollHeight - document.getElementById('main').clientHeight"
    assert abs(await person.evaluate(position) - await person.evaluate(end)) <= 1
    await person.locator("#main").hover()
    await person.mouse.wheel(0, -600)
    async with asyncio.timeout(10):  # not wait_for_function: it evaluates strings, which the page's policy forbids
        while await person.evaluate(f"{position} >= {end} - 400"):
            pass
        before = None
        while before != (before := await person.evaluate(position)):  # the wheel's scrolling has come to rest
            await person.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    site.say("끝\n\n" * 10, then_end=True)
    await expect(answer).to_have_attribute("data-state", "done")

    assert await person.evaluate(position) == before


async def test_the_field_stays_above_a_keyboard_that_covers_the_page(person: Page) -> None:
    """As Safari on phones has it: the page stays as high as it was, and less of it is seen."""
    await person.set_viewport_size({"width": 360, "height": 740})
    field = person.get_by_label("메시지", exact=True)
    await person.evaluate(
        """() => {
          Object.defineProperty(visualViewport, "height", { value: 400, configurable: true });
          visualViewport.dispatchEvent(new Event("resize"));
        }"""
    )
    box = await field.bounding_box()
    assert box and box["y"] + box["height"] <= 400
    await expect(person.get_by_role("status")).to_have_count(1)  # one voice

    await person.evaluate(
        """() => {
          Object.defineProperty(visualViewport, "height", { value: innerHeight });
          visualViewport.dispatchEvent(new Event("resize"));
        }"""
    )
    box = await field.bounding_box()
    assert box and box["y"] > 400
