"""What an answer rests on, drawn on the pictures: live, after a reload, by keyboard and without JavaScript."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from shared.chat import Generation
from shared.evidence import Evidence, EvidenceObject, PictureEvidence
from tests.e2e.conftest import Site, sign_up
from tests.e2e.picture_page import choose, send
from tests.picture_files import drawing, encoded
from tests.scripted_worker import ScriptedWorker

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

_OBJECTS = (
    EvidenceObject(number=1, box=(0.1, 0.25, 0.3, 0.75), name="빨간 공", used=True),
    EvidenceObject(number=2, box=(0.4, 0.0, 0.6, 0.2), name="파란 상자", used=False),
    EvidenceObject(number=3, box=(0.7, 0.5, 1.0, 1.0), name="노란 원뿔", used=True),
)
_SOURCE = "사진에서 찾은 물체를 프로그램이 따져서 답했어요. 굵은 선은 답에 쓴 물체예요."
_BOX = "(each) => { const { x, y, width, height } = each.getBoundingClientRect(); return [x, y, width, height]; }"


@pytest.fixture(autouse=True)
def seeing(worker: ScriptedWorker) -> None:
    """Every answer rests on the same places in the first picture that was ever shown."""
    first: list[str] = []

    def evidence(turn: Generation) -> Evidence:
        first.extend(picture.id for picture in turn.pictures)
        return Evidence(source="program", pictures=(PictureEvidence(picture_id=first[0], objects=_OBJECTS),))

    worker.evidence = evidence


async def _ask(page: Page, site: Site, text: str) -> Locator:
    """The evidence below the answer."""
    turns = page.locator(".turn")
    turn = turns.nth(await turns.count())
    site.say("빨간 공과 노란 원뿔이 있어요.", then_end=True)
    await send(page, text)
    await expect(turn.locator("[data-state=done]")).to_have_count(1)
    return turn.locator("details.evidence")


async def _check(evidence: Locator) -> None:
    """Opened, it says who answered, and every outline lies where its object is, under the number of its name."""
    await expect(evidence.get_by_text(_SOURCE)).to_be_visible()
    await expect(evidence.get_by_role("list", name="사진 1에서 찾은 물체").get_by_role("listitem")).to_have_text(
        ["빨간 공, 답에 썼어요", "파란 상자", "노란 원뿔, 답에 썼어요"]
    )
    names = await evidence.locator("li").evaluate_all("(items) => items.map((each) => String(each.value))")
    numbers = await evidence.locator("svg text").all_text_contents()
    assert (names, sorted(numbers)) == (["1", "2", "3"], names)
    left, top, width, height = await evidence.locator("img").evaluate(_BOX)
    for group in await evidence.locator("svg > g").all():
        seen = _OBJECTS[int(await group.locator("text").text_content() or 0) - 1]
        assert ("used" in (await group.get_attribute("class") or "")) is seen.used
        x, y, wide, high = await group.locator(".line").evaluate(
            "(each) => { const box = each.getBBox(), on = each.ownerSVGElement.getBoundingClientRect();"
            " return [on.x + box.x, on.y + box.y, box.width, box.height]; }"
        )
        found = (x - left) / width, (y - top) / height, (x + wide - left) / width, (y + high - top) / height
        assert found == pytest.approx(seen.box, abs=0.002)


async def test_evidence_opens_by_keyboard_live_and_after_a_reload(person: Page, site: Site) -> None:
    await choose(person, encoded(drawing(96, 96)))
    evidence = await _ask(person, site, "무엇이 있나요?")
    for _ in range(2):
        await evidence.get_by_text("근거 보기").press("Enter")
        await _check(evidence)
        await person.reload()


async def test_a_follow_up_question_rests_on_the_earlier_picture(person: Page, site: Site) -> None:
    await choose(person, encoded(drawing(640, 480)))
    await _ask(person, site, "무엇이 있나요?")
    evidence = await _ask(person, site, "더 있나요?")
    for _ in range(2):
        await evidence.get_by_text("근거 보기").click()
        await _check(evidence)
        await person.reload()


async def test_an_answer_without_evidence_offers_none(person: Page, site: Site, worker: ScriptedWorker) -> None:
    worker.evidence = lambda _: None
    await choose(person, encoded(drawing()))

    await expect(await _ask(person, site, "무엇이 있나요?")).to_have_count(0)


async def test_evidence_needs_no_javascript_and_fits_a_phone(browser: Browser, site: Site) -> None:
    context = await browser.new_context(
        java_script_enabled=False, viewport={"width": 360, "height": 740}, locale="ko-KR"
    )
    page = await context.new_page()
    await sign_up(page, site.url)
    await choose(page, encoded(drawing(900, 600)))
    await send(page, "무엇이 있나요?")
    site.say("빨간 공이요.", then_end=True)
    evidence = page.locator("details.evidence")
    while await evidence.count() == 0:
        await page.reload()
    await evidence.get_by_text("근거 보기").click()

    await _check(evidence)
    box = await evidence.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 360
    await context.close()
