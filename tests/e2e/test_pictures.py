"""Pictures in a real browser: chosen, dropped and pasted, refused, sent, and seen again."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.e2e.conftest import Site, sign_up
from tests.e2e.picture_page import asked, choose, file, send
from tests.picture_files import animated, drawing, encoded, photo, png
from tests.scripted_worker import ScriptedWorker
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("worker")]

_CHIPS = "[data-chips] > li"
_STORED = "[data-chips] > [data-state=stored]"

_DRAGGED = """({ type, base64 }) => {
  const data = new DataTransfer();
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  data.items.add(new File([bytes], "끌어 온.png", { type: "image/png" }));
  const event = new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true });
  document.querySelector("main").dispatchEvent(event);
  return event.defaultPrevented;
}"""
_PASTED = """({ base64, text }) => {
  const data = new DataTransfer();
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  data.items.add(new File([bytes], "image.png", { type: "image/png" }));
  if (text) data.setData("text/plain", text);
  const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  document.querySelector("textarea").dispatchEvent(event);
  return event.defaultPrevented;
}"""
_FIVE = [png(seed=seed) for seed in range(5)]


async def _held(page: Page, addresses: str) -> asyncio.Event:
    """Requests there wait until the event is set."""
    is_let_go = asyncio.Event()

    async def hold(route: Route) -> None:
        await is_let_go.wait()
        await route.continue_()

    await page.route(addresses, hold)
    return is_let_go


async def test_a_chosen_picture_goes_with_the_question_and_stays_in_the_conversation(person: Page, site: Site) -> None:
    await choose(person, png(320, 240))
    await expect(person.locator(_STORED)).to_have_count(1)
    await person.get_by_label("사진 1 설명").fill("책상 위의 상자")
    await send(person, "상자가 무슨 색이에요?")
    site.say("파란색이에요.", then_end=True)

    shown = person.get_by_role("log").get_by_role("img", name="책상 위의 상자")
    await expect(shown).to_be_visible()
    await expect(person.locator(_CHIPS)).to_have_count(0)
    await expect(person.locator("[data-state=done]")).to_have_text("파란색이에요.")
    for _ in range(2):
        assert await shown.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") == 320
        await person.reload()
    await send(person, "그 옆에는요?")
    site.say("아무것도 없어요.", then_end=True)
    await expect(person.locator("[data-state=done]")).to_have_count(2)

    first, second = await asked(site)
    assert [picture.alt for picture in first.pictures] == ["책상 위의 상자"]
    assert (second.parent_id, second.pictures) == (first.id, ())


async def test_pictures_dropped_onto_the_conversation_are_taken(person: Page) -> None:
    target = person.get_by_text("여기에 놓으면 사진이 추가돼요")
    dragged = {"base64": base64.b64encode(png()).decode()}
    await expect(target).to_be_hidden()
    assert await person.evaluate(_DRAGGED, {"type": "dragenter", **dragged})
    await expect(target).to_be_visible()
    assert await person.evaluate(_DRAGGED, {"type": "dragover", **dragged})
    assert await person.evaluate(_DRAGGED, {"type": "drop", **dragged})

    await expect(target).to_be_hidden()
    await expect(person.locator(_STORED)).to_have_count(1)


async def test_what_leaves_the_window_again_leaves_no_trace(person: Page) -> None:
    dragged = {"base64": base64.b64encode(png()).decode()}
    await person.evaluate(_DRAGGED, {"type": "dragenter", **dragged})
    await person.evaluate(_DRAGGED, {"type": "dragleave", **dragged})

    await expect(person.get_by_text("여기에 놓으면 사진이 추가돼요")).to_be_hidden()
    await expect(person.locator(_CHIPS)).to_have_count(0)


async def test_a_pasted_picture_is_taken_but_text_stays_text(person: Page) -> None:
    pasted = {"base64": base64.b64encode(png()).decode()}
    assert not await person.evaluate(_PASTED, {**pasted, "text": "표에서 베낀 글"})
    await expect(person.locator(_CHIPS)).to_have_count(0)
    assert await person.evaluate(_PASTED, pasted)

    await expect(person.locator(_STORED)).to_have_count(1)


async def test_what_was_taken_out_is_not_sent(person: Page, site: Site) -> None:
    await choose(person, *_FIVE[:3])
    await expect(person.locator(_STORED)).to_have_count(3)
    kept = await person.locator(f"{_STORED} [name=picture]").evaluate_all(
        "(fields) => fields.map((each) => each.value)"
    )
    await person.get_by_role("button", name="사진 2 빼기").click()
    await expect(person.get_by_role("button", name="사진 2 빼기")).to_be_focused()
    await expect(person.get_by_role("button", name="사진 3 빼기")).to_have_count(0)
    await send(person, "둘이 어떻게 달라요?")
    await expect(person.locator(".question")).to_have_count(1)

    (turn,) = await asked(site)
    assert [picture.id for picture in turn.pictures] == [kept[0], kept[2]]


async def test_a_refused_file_says_why_and_the_others_go(person: Page, site: Site) -> None:
    field = person.get_by_label("사진 추가")
    files = [
        file("메모.png", "사진이 아니에요".encode()),
        file("춤.webp", animated("WEBP")),
        file("상자.png", png()),
    ]
    await field.set_input_files(files)
    refused = person.locator("[data-chips] > [data-state=refused]").get_by_role("alert")
    await expect(refused.nth(0)).to_contain_text("메모.png: 사진이 아니거나 읽을 수 없는 형식이에요.")
    await expect(refused.nth(1)).to_contain_text("춤.webp: 움직이는 그림은 볼 수 없어요.")
    await expect(person.locator(_STORED)).to_have_count(1)
    await send(person, "이건 뭐예요?")

    await expect(person.locator(".question")).to_have_count(1)
    await expect(person.locator(_CHIPS)).to_have_count(0)
    (turn,) = await asked(site)
    assert len(turn.pictures) == 1


async def test_a_fifth_picture_is_refused_and_four_stay(person: Page) -> None:
    await choose(person, *_FIVE)

    await expect(person.locator("#message-error")).to_have_text(
        "사진은 한 번에 4장까지 보낼 수 있어요. 쓰신 글은 그대로 있어요."
    )
    await expect(person.locator(_STORED)).to_have_count(4)


async def test_sending_waits_for_what_is_being_uploaded(person: Page, site: Site) -> None:
    is_let_go = await _held(person, "**/chat/pictures")
    await choose(person, png())
    await send(person, "기다려 주세요")
    for place in ("[data-waiting]", "[data-status]"):  # seen, and heard
        await expect(person.locator(place)).to_have_text("사진을 올리고 있어요. 다 올라가면 바로 보낼게요.")
    assert await site.questions() == []
    is_let_go.set()

    await expect(person.locator(".question")).to_have_text("기다려 주세요")
    (turn,) = await asked(site)
    assert len(turn.pictures) == 1


async def test_nothing_is_sent_if_a_picture_is_refused_while_the_message_waits(person: Page, site: Site) -> None:
    is_let_go = await _held(person, "**/chat/pictures")
    await choose(person, b"not a picture")
    await send(person, "이 사진 좀 봐 주세요")
    await expect(person.locator("form.composer")).to_have_attribute("aria-busy", "true")
    is_let_go.set()

    await expect(person.locator("#message-error")).to_contain_text("아직 보내지 않았어요.")
    await expect(person.get_by_label("메시지")).to_have_value("이 사진 좀 봐 주세요")
    assert await site.questions() == []


async def test_an_upload_without_a_connection_says_so(person: Page) -> None:
    await person.route("**/chat/pictures", lambda route: route.abort("internetdisconnected"))
    await choose(person, png())

    await expect(person.locator(_CHIPS).get_by_role("alert")).to_have_text(
        "0.png: 사진을 올리지 못했어요. 빼고 다시 골라 주세요."
    )


async def test_pictures_and_text_stay_when_the_message_is_refused(person: Page, site: Site) -> None:
    await choose(person, png())
    await person.get_by_label("사진 1 설명").fill("내 고양이")
    await send(person, "가" * 8001)
    await expect(person.locator("#message-error")).to_contain_text("8000자까지")
    await expect(person.get_by_label("사진 1 설명")).to_have_value("내 고양이")
    await send(person, "짧게 물을게요")

    await expect(person.locator(".question")).to_have_text("짧게 물을게요")
    (turn,) = await asked(site)
    assert [picture.alt for picture in turn.pictures] == ["내 고양이"]


async def test_a_picture_may_go_without_words(person: Page, site: Site) -> None:
    await choose(person, photo(6))
    await person.get_by_role("button", name="보내기").click()

    await expect(person.get_by_role("log").get_by_role("img", name="사진 1")).to_be_visible()
    assert await site.questions() == ["이 그림에 무엇이 있나요?"]


async def test_what_the_browser_cannot_read_is_shown_as_the_server_reads_it(person: Page) -> None:
    """HEIC in most browsers."""
    await person.evaluate("() => { window.createImageBitmap = () => Promise.reject(new Error('unknown')); }")
    await choose(person, png())
    thumbnail = person.locator(f"{_STORED} img")
    await expect(thumbnail).to_have_count(1)

    assert await thumbnail.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") == 64


async def test_enter_in_a_description_leads_to_the_message(person: Page, site: Site) -> None:
    await choose(person, png())
    await person.get_by_label("사진 1 설명").press("Enter")

    await expect(person.get_by_label("메시지")).to_be_focused()
    assert await site.questions() == []


async def test_the_place_of_a_picture_is_there_before_the_picture(person: Page) -> None:
    await choose(person, encoded(drawing(900, 600)))
    is_let_go = await _held(person, "**/chat/pictures/*")
    await send(person, "넓어요")
    link = person.get_by_role("log").locator("a[data-picture]")
    await expect(link).to_have_count(1)
    before = await link.bounding_box()
    is_let_go.set()
    await link.locator("img").evaluate("(image) => image.decode()")

    assert before == await link.bounding_box()
    assert before is not None
    assert before["width"] / before["height"] == pytest.approx(1.5, rel=0.01)
    viewport = person.viewport_size
    assert viewport is not None
    assert before["height"] <= 0.4 * viewport["height"] + 1


async def test_a_picture_opens_whole_and_closes_by_keyboard(person: Page) -> None:
    await choose(person, png(320, 240))
    await send(person, "크게 볼게요")
    link = person.get_by_role("log").locator("a[data-picture]")
    await link.press("Enter")
    viewer = person.get_by_role("dialog", name="사진 크게 보기")
    await expect(viewer.get_by_role("img", name="사진 1")).to_be_visible()
    await person.keyboard.press("Escape")

    await expect(viewer).to_be_hidden()
    await expect(link).to_be_focused()


async def test_pictures_need_no_javascript(browser: Browser, site: Site) -> None:
    context = await browser.new_context(java_script_enabled=False, locale="ko-KR")
    page = await context.new_page()
    await sign_up(page, site.url)
    await choose(page, *_FIVE[:2])
    await send(page, "가" * 8001)
    await expect(page.locator("#message-error")).to_contain_text("8000자까지")
    await expect(page.locator(_CHIPS)).to_have_count(2)
    await page.get_by_label("사진 1 함께 보내기").uncheck()
    await page.get_by_label("사진 2 설명").fill("둘째 그림")
    await send(page, "이제 짧아요")
    await page.wait_for_url("**/chat/*-*")

    await expect(page.get_by_role("log").get_by_role("img", name="둘째 그림")).to_be_visible()
    (turn,) = await asked(site)
    assert [picture.alt for picture in turn.pictures] == ["둘째 그림"]
    await page.get_by_role("log").locator("a[data-picture]").click()
    await page.wait_for_url("**/chat/pictures/*")
    await context.close()


@pytest.mark.parametrize("width", [360, 1280])
async def test_four_pictures_fit_the_screen(browser: Browser, site: Site, width: int) -> None:
    context = await browser.new_context(viewport={"width": width, "height": 740}, locale="ko-KR")
    page = await context.new_page()
    await sign_up(page, site.url)
    await choose(page, *(encoded(drawing(*size)) for size in ((1500, 300), (300, 1500), (40, 40), (1200, 900))))
    await expect(page.locator(_STORED)).to_have_count(4)
    for _ in range(2):
        sizes: Any = await page.evaluate(
            "[document.documentElement, window.main].map(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
        )
        assert max(sizes) <= 0
        assert await page.evaluate("document.documentElement.scrollHeight - innerHeight") <= 0
        if await page.locator(".question").count() == 0:
            await send(page, "네 장이에요")
            await expect(page.locator(".question")).to_have_count(1)
    await context.close()


async def test_a_model_without_eyes_is_not_offered_pictures(
    browser: Browser, site: Site, worker: ScriptedWorker
) -> None:
    context = await browser.new_context(locale="ko-KR")
    page = await context.new_page()
    await sign_up(page, site.url)
    await expect(page.get_by_label("사진 추가")).to_have_count(1)
    await expect(page.get_by_text("사진도 볼 수 있어요.")).to_be_visible()
    worker.sees = False

    async def is_not_offered() -> bool:
        await page.reload()
        return await page.get_by_label("사진 추가").count() == 0

    assert await until(is_not_offered, within_s=10)
    await expect(page.get_by_text("사진도 볼 수 있어요.")).to_have_count(0)
    await context.close()
