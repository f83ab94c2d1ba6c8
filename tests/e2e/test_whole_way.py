"""The whole way with nothing scripted: `nunmal up` with a model that writes for seconds, and a person in Chromium."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.conftest import OpenPage, sign_up
from tests.models import babbling_model
from tests.service import Process

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LONG = 1500  # tokens; several seconds of writing


async def test_sign_up_type_korean_stream_reload_stop_and_log_out(tmp_path: Path, open_page: OpenPage) -> None:
    model = await asyncio.to_thread(babbling_model, tmp_path / "babbler", max_new_tokens=LONG)
    with Process("up", "--port", "0", NUNMAL_HOME=str(tmp_path / "home"), NUNMAL_MODEL=str(model)) as process:
        address = await asyncio.to_thread(process.wait_ready)
        person = await open_page()
        await sign_up(person, address)

        await _compose(person, "긴 이야기를 해 줘")
        answers = person.locator("[data-role=assistant]")
        await _has_written(answers, 100)
        before = (await answers.inner_text()).strip()
        await person.reload()
        await _has_written(answers, len(before))  # the page shows the last checkpoint; the stream brings the rest
        assert (await answers.inner_text()).strip().startswith(before)
        other = await open_page()
        await other.goto(person.url)
        texts = []
        for page in (person, other):
            answer = page.locator("[data-role=assistant]")
            await expect(answer).to_have_attribute("data-state", "done", timeout=60_000)
            texts.append((await answer.inner_text()).strip())
        assert texts[0] == texts[1]
        assert texts[0].startswith(before)
        assert "\ufffd" not in texts[0]

        await _compose(person, "하나 더 들려줘")
        answer = person.locator("[data-role=assistant]").last
        stop = person.locator("[data-stop]")
        boxes = []
        for characters in (30, 60, 90):
            await _has_written(answer, characters)
            boxes.append(await stop.bounding_box())
        assert boxes[0] is not None
        assert boxes == [boxes[0]] * 3  # the growing answer does not move what people want to press
        await person.mouse.click(boxes[0]["x"] + 8, boxes[0]["y"] + 8)
        await expect(answer).to_have_attribute("data-state", "stopped")
        assert 90 <= len((await answer.inner_text()).strip()) < len(texts[0])
        await expect(person.locator("[data-note]").last).to_have_text("여기서 멈췄어요.")

        await person.get_by_role("button", name="로그아웃").click()
        await person.wait_for_url("**/login")


async def _compose(page: Page, sentence: str) -> None:
    """Type through an input method, syllable by syllable, and press Enter while the last one is still open."""
    field = page.get_by_label("메시지")
    await field.focus()
    devtools = await page.context.new_cdp_session(page)
    for syllable in sentence[:-1]:
        await devtools.send("Input.imeSetComposition", {"text": syllable, "selectionStart": 1, "selectionEnd": 1})
        await devtools.send("Input.insertText", {"text": syllable})
    await devtools.send("Input.imeSetComposition", {"text": sentence[-1], "selectionStart": 1, "selectionEnd": 1})
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-role=user]").last).to_have_text(sentence)


async def _has_written(answer: Locator, characters: int) -> None:
    async with asyncio.timeout(30):
        while len(await answer.inner_text()) < characters:
            pass
