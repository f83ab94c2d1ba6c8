"""Votes, the consent to learn from them, and a blind comparison, in a real browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from shared.chat import Generation
from shared.comparisons import Pairing
from shared.ids import new_id
from shared.publishing import Publishing
from shared.votes import Reason, Vote, VoteValue
from tests.adapter_folders import BASE, write_adapter
from tests.e2e.conftest import Site, sign_up
from tests.scripted_worker import ScriptedWorker

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

_WIDER_THAN_SCREEN = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


async def _votes(site: Site) -> list[Vote]:
    documents = await site.store._database["votes"].find({}).to_list(None)
    return [vote for document in documents for vote in await site.store.votes.of_user(document["user_id"])]


async def _ask(page: Page, question: str) -> None:
    await page.get_by_label("메시지").fill(question)
    await page.get_by_role("button", name="보내기").click()


async def test_an_answer_is_voted_on_explained_and_the_vote_taken_back_by_keyboard(
    person: Page, site: Site, worker: ScriptedWorker
) -> None:
    await _ask(person, "안녕?")
    site.say("안녕")
    up, down = (person.get_by_role("button", name=name) for name in ("좋아요", "아쉬워요"))
    await expect(person.locator("[data-role=assistant]")).to_contain_text("안녕")
    await expect(up).to_be_hidden()
    site.say("하세요.", then_end=True)
    await expect(up).to_have_attribute("aria-pressed", "false")

    await person.get_by_label("메시지").fill("쓰던 글")
    await down.focus()
    await person.keyboard.press("Enter")
    await expect(down).to_have_attribute("aria-pressed", "true")
    await expect(down).to_be_focused()
    await person.get_by_text("이유 적기").focus()
    await person.keyboard.press("Enter")
    await person.get_by_label("너무 길어요").check()
    await person.get_by_label("더 하실 말씀").fill("두 문장이면 돼요")
    await person.get_by_role("button", name="이유 남기기").click()
    await expect(down).to_be_focused()
    (vote,) = await _votes(site)
    assert (vote.value, vote.reasons, vote.words) == (VoteValue.DOWN, (Reason.LONG,), "두 문장이면 돼요")

    await person.keyboard.press("Enter")
    await expect(down).to_have_attribute("aria-pressed", "false")
    assert await _votes(site) == []
    await expect(person.get_by_label("메시지")).to_have_value("쓰던 글")


async def test_all_of_it_works_without_a_script(browser: Browser, site: Site) -> None:
    async def hello(asked: Generation) -> AsyncIterator[str]:
        yield "안녕하세요."

    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await sign_up(page, site.url)
    async with ScriptedWorker(site.store, site.broker, "chat.test", hello) as worker:
        await _ask(page, "안녕?")
        await worker.has_ended(1)
    await page.wait_for_url("**/chat/*-*")
    await page.reload()
    await page.get_by_role("button", name="좋아요").click()
    await expect(page.get_by_role("button", name="좋아요")).to_have_attribute("aria-pressed", "true")
    await page.get_by_text("이유 적기").click()
    await page.get_by_role("link", name="동의 바꾸기").click()
    await page.get_by_role("button", name="동의하기").click()
    await expect(page.get_by_role("status")).to_have_text("지금부터 남기시는 평가를 학습에 쓸 수 있어요.")
    await expect(page.get_by_text("동의하셨어요.")).to_be_visible()
    await page.get_by_role("button", name="동의 거두기").click()
    await expect(page.get_by_text("동의하지 않으셨어요.")).to_be_visible()
    assert await site.store.users.agreeing() == []
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def version(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One that people are asked to compare with the model alone."""
    await site.store.adapters.describe_base(BASE)
    folder = write_adapter(tmp_path_factory.mktemp("adapter"))
    version = (await Publishing(site.store, None).push("wallpaper", folder, "researcher")).version_id
    await site.store.pairings.add(Pairing(new_id(), version, None, True, "researcher", datetime.now(UTC)))
    return version


async def test_two_answers_are_compared_blind_and_told_apart_afterwards(
    person: Page, site: Site, worker: ScriptedWorker, version: str
) -> None:
    worker.adapters = (version,)
    await person.goto(f"{site.url}/chat")
    await person.get_by_role("link", name="두 답 비교").click()
    await person.get_by_label("질문").fill("벽지에 얼룩이 있어요")
    await person.get_by_role("button", name="두 답 받기").click()
    columns = person.locator(".columns section")
    await expect(columns).to_have_count(2)
    better = person.get_by_role("button", name="왼쪽이 더 좋아요")
    site.say("습기", "습기")
    for number in range(2):
        await expect(columns.nth(number)).to_contain_text("습기")
    await expect(better).to_be_hidden()
    for _ in range(2):
        site.say(then_end=True)
    await expect(better).to_be_visible()
    assert "wallpaper" not in await person.content()

    for width in (360, 1280):
        await person.set_viewport_size({"width": width, "height": 800})
        assert not await person.evaluate(_WIDER_THAN_SCREEN)
    await better.click()
    await expect(columns.locator("h2 code")).to_have_count(2)
    assert sorted(await columns.locator("h2 code").all_text_contents()) == sorted([version, "기본 모델"])
    await person.set_viewport_size({"width": 360, "height": 800})
    assert not await person.evaluate(_WIDER_THAN_SCREEN)
    await expect(person.get_by_role("status")).to_have_text(re.compile("왼쪽이 더 좋아요"))
