"""The operators' page in Chromium: it lives without being loaded again, and what browsers saw is told."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, Route, expect

from shared.chat import AccountRole
from shared.metrics import BROWSER_TIME_TO_FIRST_TOKEN
from tests.e2e.conftest import Site
from tests.metric_values import value
from tests.scripted_worker import ScriptedWorker
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def _become_operator(site: Site) -> None:
    (user,) = await site.store.users.everyone()
    await site.store.users.set_role(user.id, AccountRole.OPERATOR)
    await site.store.second_steps.switch_on(user.id, "sealed", 0, ["hash"])


async def test_a_worker_that_comes_and_goes_is_seen(person: Page, site: Site) -> None:
    await _become_operator(site)
    await person.goto(f"{site.url}/ops")
    await expect(person.get_by_text("지금 일하는 작업자가 없어요.")).to_be_visible()

    async with site.worker() as worker:
        await expect(person.get_by_role("rowheader", name=worker.id)).to_be_visible()
    await expect(person.get_by_text("지금 일하는 작업자가 없어요.")).to_be_visible()


async def test_it_fits_a_phone(person: Page, site: Site, worker: ScriptedWorker) -> None:
    await _become_operator(site)
    await person.set_viewport_size({"width": 360, "height": 740})
    await person.goto(f"{site.url}/ops")
    await expect(person.get_by_role("rowheader", name=worker.id)).to_be_visible()

    assert await person.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_the_time_to_the_first_text_is_told(person: Page, site: Site, worker: ScriptedWorker) -> None:
    async def told() -> bool:
        return value(BROWSER_TIME_TO_FIRST_TOKEN) == before + 1

    before = value(BROWSER_TIME_TO_FIRST_TOKEN)
    await person.goto(f"{site.url}/chat")
    await person.get_by_role("textbox").fill("안녕?")
    await person.get_by_role("textbox").press("Enter")
    await expect(person.locator("chat-stream")).to_be_attached()
    site.say("안녕", "하세요.", then_end=True)
    await expect(person.get_by_text("안녕하세요.")).to_be_visible()

    assert await until(told, within_s=20)


@pytest.mark.parametrize("held", ["**/chat", "**/stream/**"], ids=["before its page", "before its stream"])
async def test_a_quick_answer_is_told_too(person: Page, site: Site, worker: ScriptedWorker, held: str) -> None:
    async def is_told() -> bool:
        return value(BROWSER_TIME_TO_FIRST_TOKEN) == before + 1

    async def is_answered() -> bool:
        turns = await site.store.generations._generations.find({}).to_list(None)
        return [turn["state"] for turn in turns] == ["done"]

    async def hold_back(route: Route) -> None:
        """Let the answer be written, and only then the browser have what it asked for."""
        response = await route.fetch(max_redirects=0) if route.request.method == "POST" else None
        site.say("안녕하세요.", then_end=True)
        assert await until(is_answered, within_s=20)
        await (route.fulfill(response=response) if response else route.continue_())

    before = value(BROWSER_TIME_TO_FIRST_TOKEN)
    await person.goto(f"{site.url}/chat")
    await person.route(held, hold_back)
    await person.get_by_role("textbox").fill("안녕?")
    await person.get_by_role("textbox").press("Enter")
    await expect(person.get_by_text("안녕하세요.")).to_be_visible()

    assert await until(is_told, within_s=20)
