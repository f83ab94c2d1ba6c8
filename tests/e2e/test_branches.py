"""A conversation's branches, settings and waiting questions in a real browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from shared.chat import Generation
from tests.e2e.conftest import Site, sign_up
from tests.scripted_worker import ScriptedWorker
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

_MARKDOWN = "**{}**에 대한 답이에요.\n\n둘째 문단이에요."


async def _echo(generation: Generation) -> AsyncIterator[str]:
    yield _MARKDOWN.format(generation.question)


@pytest_asyncio.fixture(loop_scope="session")
async def echo(site: Site) -> AsyncIterator[ScriptedWorker]:
    async with ScriptedWorker(site.store, site.broker, "chat.test", _echo) as worker:
        yield worker


async def _ask(page: Page, text: str, button: str = "보내기") -> None:
    await page.get_by_label("메시지").fill(text)
    await page.get_by_role("button", name=button).click()


async def _answered(page: Page, *questions: str) -> None:
    """The page shows these questions, and the answers to all of them."""
    await expect(page.locator("[data-role=user]")).to_have_text(list(questions))
    await expect(page.locator("[data-role=assistant][data-state=done]")).to_have_count(len(questions))
    await expect(page.get_by_role("button", name="보내기")).to_be_visible()


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("width", [360, 1280])
async def test_edit_answer_again_and_switch(person: Page, width: int) -> None:
    await person.set_viewport_size({"width": width, "height": 760})
    await _ask(person, "하나")
    await _answered(person, "하나")
    await _ask(person, "둘")
    await _answered(person, "하나", "둘")

    first = person.locator(".turn").first
    await first.hover()
    await first.get_by_role("link", name="고치기").click()
    field = first.get_by_label("내가 한 말")
    await expect(field).to_be_focused()
    await expect(field).to_have_value("하나")
    await field.fill("   ")
    await first.get_by_role("button", name="다시 묻기").click()
    await expect(first.get_by_role("alert")).to_have_text("내용을 적어 주세요.")
    await first.get_by_role("link", name="그대로 두기").click()
    await expect(first.locator("[data-role=user]")).to_be_visible()
    await first.get_by_role("link", name="고치기").click()
    await field.fill("하나를 고침")
    await first.get_by_role("button", name="다시 묻기").click()
    await _answered(person, "하나를 고침")
    await expect(person.get_by_text("2/2")).to_be_visible()

    await person.get_by_role("button", name="이전 것 보기").click()
    await _answered(person, "하나", "둘")
    await expect(person.get_by_role("button", name="다음 것 보기")).to_be_focused()

    last = person.locator(".turn").last
    await last.hover()
    await last.get_by_role("button", name="다시 답하기").click()
    await _answered(person, "하나", "둘")
    await expect(last.get_by_text("2/2")).to_be_visible()
    await person.reload()
    await _answered(person, "하나", "둘")
    assert await person.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("width", [360, 1280])
async def test_copy_quote_and_pin(person: Page, width: int) -> None:
    await person.set_viewport_size({"width": width, "height": 760})
    await person.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await _ask(person, "하나")
    await _answered(person, "하나")
    turn = person.locator(".turn")
    await turn.hover()
    await turn.get_by_role("link", name="답 복사").click()
    await expect(person.locator("[data-status]")).to_have_text("복사했어요.")
    text = await person.evaluate("navigator.clipboard.readText()")
    await turn.get_by_label("이 답에 대해").click()
    await turn.get_by_role("link", name="Markdown으로 복사").click()

    async def is_markdown() -> bool:
        return str(await person.evaluate("navigator.clipboard.readText()")) == _MARKDOWN.format("하나")

    assert await until(is_markdown, 10)
    assert text.split("\n") == ["하나에 대한 답이에요.", "", "둘째 문단이에요."]
    await person.keyboard.press("Escape")

    field = person.get_by_label("메시지")
    await field.fill("이건 왜요?")
    await turn.locator("[data-role=assistant] p").last.select_text()
    await turn.get_by_role("link", name="인용해서 묻기").click()
    await expect(field).to_have_value("> 둘째 문단이에요.\n\n이건 왜요?")
    await expect(field).to_be_focused()

    pin = turn.get_by_role("button", name="고정")
    await pin.click()
    await expect(pin).to_have_attribute("aria-pressed", "true")
    await expect(field).to_have_value("> 둘째 문단이에요.\n\n이건 왜요?")


@pytest.mark.parametrize("width", [360, 1280])
async def test_a_stopped_answer_goes_on(person: Page, site: Site, worker: ScriptedWorker, width: int) -> None:
    await person.set_viewport_size({"width": width, "height": 760})
    await _ask(person, "길게 말해 주세요")
    site.say("여기까지 썼어요")
    answer = person.locator("[data-role=assistant]")
    await expect(answer).to_have_text("여기까지 썼어요")
    await person.get_by_role("button", name="멈추기").click()
    go_on = person.get_by_role("button", name="이어 쓰기")
    await go_on.click()
    site.say(", 그리고 끝이에요.", then_end=True)

    await expect(answer).to_have_text("여기까지 썼어요, 그리고 끝이에요.")
    await expect(answer).to_have_attribute("data-state", "done")
    await expect(go_on).to_be_hidden()
    await expect(person.get_by_text("2/2")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
async def test_questions_wait_for_the_answer_before_them_and_one_is_taken_back(
    person: Page, site: Site, worker: ScriptedWorker, width: int
) -> None:
    await person.set_viewport_size({"width": width, "height": 760})
    await _ask(person, "하나")
    site.say("첫 답")
    answers = person.locator("[data-role=assistant]")
    await expect(answers.first).to_have_text("첫 답")
    await _ask(person, "둘", "이어 묻기")
    await expect(person.locator("[data-role=user]")).to_have_text(["하나", "둘"])
    await person.get_by_label("메시지").fill("셋")
    await person.get_by_label("메시지").press("Enter")
    await expect(person.locator("[data-role=user]")).to_have_text(["하나", "둘", "셋"])
    await expect(person.get_by_text("앞의 답이 끝나면 물어볼게요.")).to_have_count(2)

    await person.locator(".turn").last.get_by_role("button", name="질문 되돌리기").click()
    await expect(person.locator("[data-role=user]")).to_have_text(["하나", "둘"])
    await expect(person.get_by_label("메시지")).to_have_value("셋")
    await person.reload()
    site.say("이에요.", then_end=True)
    await expect(answers.first).to_have_text("첫 답이에요.")
    site.say("둘째 답", then_end=True)
    await expect(answers.last).to_have_text("둘째 답")
    await expect(person.get_by_role("button", name="보내기")).to_be_visible()
    await expect(person.get_by_role("log")).to_have_attribute("aria-busy", "false")


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("width", [360, 1280])
async def test_settings_go_with_the_next_question(person: Page, site: Site, width: int) -> None:
    await person.set_viewport_size({"width": width, "height": 760})
    await person.get_by_text("대화 설정").click()
    await person.get_by_label("말투").select_option("casual")
    await person.get_by_label("온도").fill("3")
    await _ask(person, "하나")
    await expect(person.get_by_role("alert")).to_contain_text("온도는 0에서 2")
    await expect(person.get_by_label("메시지")).to_have_value("하나")
    await person.get_by_label("온도").fill("0.2")
    await _ask(person, "하나")
    await _answered(person, "하나")
    await person.reload()
    await person.get_by_text(re.compile("대화 설정.*바꿈")).click()
    await expect(person.get_by_label("말투")).to_have_value("casual")
    await person.get_by_role("button", name="기본값으로").click()
    await _ask(person, "둘")
    await _answered(person, "하나", "둘")

    turns = await site.store.generations._generations.find({}).to_list(None)
    asked = {turn["question"]: (turn["sampling"]["temperature"], "반말" in turn["system"]) for turn in turns}
    assert asked == {"하나": (0.2, True), "둘": (None, False)}


@pytest.mark.usefixtures("echo")
async def test_everything_works_without_scripts(browser: Browser, site: Site) -> None:
    context = await browser.new_context(locale="ko-KR", java_script_enabled=False)
    page = await context.new_page()
    await sign_up(page, site.url)
    await _ask(page, "하나")
    answer = page.locator("[data-role=assistant]")
    for _ in range(50):
        await page.goto(page.url.partition("#")[0])
        if await answer.get_attribute("data-state") == "done":
            break
    await page.get_by_role("link", name="고치기").click()
    await page.get_by_label("내가 한 말").fill("하나를 고침")
    await page.get_by_role("button", name="다시 묻기").click()
    await expect(page.locator("[data-role=user]")).to_have_text("하나를 고침")
    await page.get_by_role("button", name="이전 것 보기").click()
    await expect(page.locator("[data-role=user]")).to_have_text("하나")
    await page.get_by_role("button", name="고정").click()
    await expect(page.get_by_role("button", name="고정")).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("link", name="인용해서 묻기").click()
    await expect(page.get_by_label("메시지")).to_have_value(re.compile(r"^> \*\*하나\*\*에 대한 답이에요\.\n>\n> 둘째"))
    await context.close()
