"""What newcomers do: twelve tasks, each from the chat page on, and how many presses each takes.

A press is a click, a key that sends, a file or a value that is chosen. Typing is none; pointing is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from playwright.async_api import Locator, Page, expect

from shared.chat import Generation
from tests.e2e.picture_page import file
from tests.picture_files import png

MOST_PRESSES = 3
_ENDLESS = "끝없이"


async def answer_as_asked(generation: Generation) -> AsyncIterator[str]:
    """For the worker: short, but to a question for an endless answer, which only a stop ends."""
    yield f"{generation.question}에 대한 답이에요."
    if _ENDLESS in generation.question:
        await asyncio.Event().wait()


class Newcomer:
    """Somebody at the chat page, whose presses are counted. `is_phone`: the list is behind a button."""

    def __init__(self, page: Page, *, is_phone: bool) -> None:
        self.page = page
        self.is_phone = is_phone
        self.presses = 0

    @property
    def field(self) -> Locator:
        return self.page.get_by_label("메시지", exact=True)

    @property
    def answers(self) -> Locator:
        return self.page.locator("[data-role=assistant]")

    async def press(self, target: Locator) -> None:
        self.presses += 1
        await target.click()

    async def write(self, words: str, field: Locator | None = None) -> None:
        """And Enter."""
        self.presses += 1
        target = field or self.field
        await target.fill(words)
        await target.press("Enter")

    async def open_list(self) -> None:
        if self.is_phone:
            await self.press(self.page.get_by_role("button", name="대화 목록"))

    async def answered(self, count: int) -> None:
        await expect(self.page.locator("[data-role=assistant][data-state=done]")).to_have_count(count)
        await expect(self.page.get_by_role("button", name="보내기")).to_be_visible()


async def ask(person: Newcomer) -> None:
    await person.write("바다가 뭐예요?")
    await person.answered(1)


async def copy(person: Newcomer) -> None:
    await person.page.locator(".turn").last.hover()
    await person.press(person.page.get_by_role("link", name="답 복사").last)
    await expect(person.page.locator("[data-status]")).to_have_text("복사했어요.")


async def answer_again(person: Newcomer) -> None:
    await person.page.locator(".turn").last.hover()
    await person.press(person.page.get_by_role("button", name="다시 답하기").last)
    await expect(person.page.get_by_text("2/2")).to_be_visible()
    await person.answered(1)


async def switch_branch(person: Newcomer) -> None:
    await person.press(person.page.get_by_role("button", name="이전 것 보기"))
    await expect(person.page.get_by_text("1/2")).to_be_visible()


async def edit(person: Newcomer) -> None:
    turn = person.page.locator(".turn").last
    await turn.hover()
    await person.press(turn.get_by_role("link", name="고치기"))
    await turn.get_by_label("내가 한 말").fill("호수가 뭐예요?")
    await person.press(turn.get_by_role("button", name="다시 묻기"))
    await expect(person.answers).to_have_text("호수가 뭐예요?에 대한 답이에요.")
    await person.answered(1)


async def stop(person: Newcomer) -> None:
    await person.field.fill(f"{_ENDLESS} 이야기해 주세요")
    await person.field.press("Enter")
    await expect(person.answers.last).to_contain_text("답이에요")
    person.presses = 0  # a running answer is where this task begins
    await person.press(person.page.get_by_role("button", name="멈추기"))
    await expect(person.answers.last).to_have_attribute("data-state", "stopped")


async def choose_style(person: Newcomer) -> None:
    await person.press(person.page.get_by_text("대화 설정"))
    person.presses += 1
    await person.page.get_by_label("말투").select_option("casual")
    await expect(person.page.get_by_label("말투")).to_have_value("casual")


async def export(person: Newcomer) -> None:
    await _to_this_conversation(person)
    async with person.page.expect_download() as download:
        await person.press(person.page.get_by_role("link", name="마크다운"))
    assert (await download.value).suggested_filename.endswith(".md")


async def share(person: Newcomer) -> None:
    await _to_this_conversation(person)
    await person.press(person.page.get_by_role("button", name="링크 만들기"))
    await expect(person.page.get_by_label("링크를 만들었어요")).to_be_visible()


async def search(person: Newcomer) -> None:
    await person.open_list()
    await person.press(person.page.get_by_role("link", name="대화 찾기"))
    await person.write("호수", person.page.get_by_label("찾을 말"))
    await expect(person.page.locator("mark").first).to_have_text("호수", timeout=60_000)  # its dictionary is loaded


async def begin_anew(person: Newcomer) -> None:
    await person.open_list()
    await person.press(person.page.get_by_role("button", name="새 대화"))
    await expect(person.page.get_by_role("heading", name="무슨 이야기를 해 볼까요?")).to_be_visible()


async def ask_about_a_picture(person: Newcomer) -> None:
    person.presses += 1
    await person.page.get_by_label("사진 추가").set_input_files([file("0.png", png())])
    await person.write("이 사진은 뭐예요?")
    await expect(person.page.locator(".question").last).to_have_text("이 사진은 뭐예요?")
    await expect(person.page.locator(".pictures img")).to_be_visible()
    await person.answered(1)


async def _to_this_conversation(person: Newcomer) -> None:
    await person.press(person.page.locator("header details.menu summary"))
    await person.press(person.page.get_by_role("link", name="공유하기·내보내기"))
    await person.page.wait_for_url("**/library/*")


# In an order in which each finds what those before it made.
TASKS: tuple[Callable[[Newcomer], Awaitable[None]], ...] = (
    *(ask, copy, answer_again, switch_branch, edit, stop, choose_style),
    *(export, share, search, begin_anew, ask_about_a_picture),
)


async def presses_of_all(page: Page, *, is_phone: bool) -> dict[str, int]:
    """Somebody new at /chat does everything; by the task's name. A worker says `answer_as_asked`."""
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    found, conversation = {}, page.url
    for task in TASKS:
        person = Newcomer(page, is_phone=is_phone)
        await task(person)
        found[task.__name__] = person.presses
        if task is stop:
            conversation = page.url
        if task in (export, share, search):
            await page.goto(conversation)
    return found
