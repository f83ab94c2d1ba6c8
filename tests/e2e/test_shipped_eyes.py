"""What a newcomer gets: the model that ships looks at the drawing that its page offers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import OpenPage, sign_up
from tests.service import Process

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_offered_drawing_is_seen_counted_and_shown_as_evidence(tmp_path: Path, open_page: OpenPage) -> None:
    with Process("up", "--port", "0", NUNMAL_HOME=str(tmp_path / "home")) as process:
        address = await asyncio.to_thread(process.wait_ready)
        person = await open_page()
        await sign_up(person, address)
        await person.get_by_role("link", name="도형 그림을 보여 주고 물어보기").click()
        await expect(person.get_by_label("메시지")).to_have_value("빨간 물체는 몇 개예요?")
        await person.get_by_role("button", name="보내기").click()

        answer = person.locator("[data-role=assistant]")
        await expect(answer).to_have_attribute("data-state", "done", timeout=60_000)
        await expect(answer).to_contain_text("두 개")
        evidence = person.locator("details.evidence")
        await evidence.get_by_text("근거 보기").click()
        used = evidence.get_by_role("listitem").filter(has_text="답에 썼어요")
        await expect(used).to_have_count(2)
        for each in await used.all():
            await expect(each).to_contain_text("빨간")

        await person.get_by_label("메시지").fill("안녕하세요?")
        await person.get_by_role("button", name="보내기").click()
        await expect(answer.last).to_have_attribute("data-state", "done", timeout=60_000)
        await expect(evidence).to_have_count(1)
