"""One Enter sends the whole sentence exactly once, as Chrome, Safari and Firefox really report it.

The traces are what the browsers fire for one press of Enter while the last syllable of "안녕하세요" is being composed
(two-set keyboard), and for Japanese and Chinese, where Enter belongs to the input method.
"""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.conftest import Site, sign_up

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

Step = dict[str, Any]

_PLAY = """async (steps) => {
  const field = document.querySelector("textarea");
  const prevented = [];
  const kinds = { keydown: KeyboardEvent, beforeinput: InputEvent, input: InputEvent };
  field.focus();
  for (const { type, value, ...init } of steps) {
    if (type === "task") {
      await new Promise((resume) => setTimeout(resume, init.ms ?? 0));
      continue;
    }
    if (type === "input") field.value = value;
    const kind = kinds[type] ?? CompositionEvent;
    const event = new kind(type, { bubbles: true, cancelable: true, ...init });
    field.dispatchEvent(event);
    if (event.defaultPrevented) prevented.push(type);
  }
  return prevented;
}"""


def _enter(key_code: int = 13, *, composing: bool = False, key: str = "Enter", **more: Any) -> Step:
    return {"type": "keydown", "key": key, "code": "Enter", "keyCode": key_code, "isComposing": composing, **more}


def _composed(type_: str, data: str) -> Step:
    return {"type": f"composition{type_}", "data": data}


def _value(text: str) -> Step:
    return {"type": "input", "value": text}


_TASK: Step = {"type": "task"}
_TYPED = [_composed("start", ""), _composed("update", "ㅇ"), _composed("update", "요"), _value("안녕하세요")]
_BREAK: Step = {"type": "beforeinput", "inputType": "insertLineBreak"}
_ENDED = [_composed("end", "요"), _value("안녕하세요")]

_KOREAN = {
    "Chrome on Windows": [*_TYPED, _enter(229, composing=True, key="Process"), *_ENDED, _TASK, _enter()],
    "Chrome on macOS, second keydown at once": [*_TYPED, _enter(229, composing=True), *_ENDED, _enter(), _BREAK],
    "Chrome on macOS, second keydown later": [*_TYPED, _enter(229, composing=True), *_ENDED, _TASK, _TASK, _enter()],
    "Chrome on Linux, no second keydown": [*_TYPED, _enter(229, composing=True), _TASK, *_ENDED],
    "Firefox": [*_TYPED, _enter(229, composing=True, key="Process"), *_ENDED, _TASK],
    "Firefox on macOS, composition ends first": [*_TYPED, *_ENDED, _enter()],
    "Safari": [*_TYPED, *_ENDED, _enter(229)],
    "Safari, keydown a task later": [*_TYPED, *_ENDED, _TASK, _enter(229)],
    "the last syllable settles after compositionend": [
        *_TYPED[:-1],
        _value("안녕하세ㅇ"),
        _enter(229, composing=True),
        _composed("end", "요"),
        _value("안녕하세요"),
    ],
    "an impatient second press": [
        *_TYPED,
        _enter(229, composing=True),
        _enter(229, composing=True),
        *_ENDED,
        _enter(),
        _enter(),
    ],
    "no composition at all": [_value("안녕하세요"), _enter()],
}

_CONFIRM_FIRST = {
    "Japanese in Chrome": [
        _composed("start", ""),
        _composed("update", "にほん"),
        _composed("update", "日本"),
        _value("日本"),
        _enter(229, composing=True),
        _composed("end", "日本"),
    ],
    "Japanese in Safari": [
        _composed("start", ""),
        _composed("update", "日本"),
        _value("日本"),
        _composed("end", "日本"),
        _enter(229),
    ],
    "Chinese in Chrome": [
        _composed("start", ""),
        _composed("update", "ni hao"),
        _value("ni hao"),
        _enter(229, composing=True),
        _composed("end", "ni hao"),
    ],
    "Chinese in Safari": [
        _composed("start", ""),
        _composed("update", "你好"),
        _value("你好"),
        _composed("end", "你好"),
        _enter(229),
    ],
}


@pytest.mark.parametrize("trace", _KOREAN.values(), ids=_KOREAN.keys())
async def test_one_enter_sends_a_korean_sentence_once(person: Page, site: Site, trace: list[Step]) -> None:
    await person.evaluate(_PLAY, trace)

    await expect(person.locator("[data-role=user]")).to_have_text(["안녕하세요"])
    await expect(person.get_by_label("메시지")).to_have_value("")
    assert await site.questions() == ["안녕하세요"]


@pytest.mark.parametrize("trace", _CONFIRM_FIRST.values(), ids=_CONFIRM_FIRST.keys())
async def test_japanese_and_chinese_confirm_first_and_send_with_the_next_enter(
    person: Page, site: Site, trace: list[Step]
) -> None:
    prevented = await person.evaluate(_PLAY, [*trace, {"type": "task", "ms": 100}])
    typed = await person.get_by_label("메시지").input_value()

    assert prevented == []
    assert await site.questions() == []

    await person.evaluate(_PLAY, [_enter()])
    await expect(person.locator("[data-role=user]")).to_have_text([typed])
    assert await site.questions() == [typed]


async def test_shift_enter_is_a_new_line_also_while_composing(person: Page, site: Site) -> None:
    prevented = await person.evaluate(
        _PLAY, [*_TYPED, _enter(229, composing=True, shiftKey=True), *_ENDED, _enter(shiftKey=True), _TASK]
    )

    assert prevented == []
    assert await site.questions() == []


async def test_a_real_composition_ended_by_the_keyboard_is_sent_once(person: Page, site: Site) -> None:
    """Chromium's own input method path, over the DevTools protocol."""
    field = person.get_by_label("메시지")
    await field.focus()
    keyboard = await person.context.new_cdp_session(person)
    await keyboard.send("Input.insertText", {"text": "안녕하세"})
    for syllable in ("ㅇ", "요"):
        await keyboard.send("Input.imeSetComposition", {"text": syllable, "selectionStart": 1, "selectionEnd": 1})
    await expect(field).to_have_value("안녕하세요")
    for kind in ("rawKeyDown", "keyUp"):
        await keyboard.send(
            "Input.dispatchKeyEvent",
            {"type": kind, "key": "Process", "code": "Enter", "windowsVirtualKeyCode": 229},
        )
    await keyboard.send("Input.insertText", {"text": "요"})

    await expect(person.locator("[data-role=user]")).to_have_text(["안녕하세요"])
    await expect(field).to_have_value("")
    assert await site.questions() == ["안녕하세요"]


async def test_an_input_method_that_does_not_commit_is_made_to(person: Page, site: Site) -> None:
    field = person.get_by_label("메시지")
    await field.focus()
    keyboard = await person.context.new_cdp_session(person)
    await keyboard.send("Input.imeSetComposition", {"text": "안녕하세요", "selectionStart": 5, "selectionEnd": 5})
    await person.keyboard.press("Enter")

    await expect(person.locator("[data-role=user]")).to_have_text(["안녕하세요"])
    assert await site.questions() == ["안녕하세요"]


async def test_the_button_sends_what_is_still_being_composed(person: Page, site: Site) -> None:
    await person.get_by_label("메시지").focus()
    keyboard = await person.context.new_cdp_session(person)
    await keyboard.send("Input.imeSetComposition", {"text": "안녕하세요", "selectionStart": 5, "selectionEnd": 5})
    await person.get_by_role("button", name="보내기").click()

    await expect(person.locator("[data-role=user]")).to_have_text(["안녕하세요"])
    assert await site.questions() == ["안녕하세요"]


async def test_typing_goes_on_while_a_message_is_on_its_way(person: Page, site: Site) -> None:
    """What is typed after Enter stays in the field; nothing of it is sent or lost."""
    await person.get_by_label("메시지").fill("첫 문장")
    await person.keyboard.press("Enter")
    await person.evaluate("document.querySelector('textarea').value = '첫 문장 그리고'")

    await expect(person.locator("[data-role=user]")).to_have_count(1)
    sent = await site.questions()
    rest = await person.get_by_label("메시지").input_value()
    assert (sent, rest) in ((["첫 문장"], " 그리고"), (["첫 문장 그리고"], ""))


async def test_enter_is_a_new_line_on_a_touch_screen(browser: Browser, site: Site) -> None:
    """Phones have no Shift+Enter; there the button sends."""
    context = await browser.new_context(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page = await context.new_page()
    await sign_up(page, site.url)
    await page.get_by_label("메시지").fill("첫째 줄")
    await page.keyboard.press("Enter")
    await page.keyboard.type("둘째 줄")
    await expect(page.get_by_label("메시지")).to_have_value("첫째 줄\n둘째 줄")
    await page.get_by_role("button", name="보내기").tap()

    await expect(page.locator("[data-role=user]")).to_have_count(1)
    assert await site.questions() == ["첫째 줄\n둘째 줄"]
    await context.close()
