"""A conversation of 2,000 messages in the browser: how long people wait for anything they do there."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.long_conversation import talk_long
from tests.ux.house import ANSWER, OWNERS_WORD, House
from web.chat.windowing import AT_ONCE

TURNS = 1_000
# Event Timing says how long each press took until its effect was drawn; a long task (over 50 ms) delays whatever is
# pressed meanwhile.
_WATCH = """() => {
  window.waited = [];
  const take = (list) => list.getEntries().forEach(({ name, duration }) => window.waited.push([duration, name]));
  new PerformanceObserver(take).observe({ type: "event", durationThreshold: 16 });
  new PerformanceObserver(take).observe({ type: "longtask" });
}"""


async def slowest_ms(house: House) -> tuple[float, str]:
    """Of typing, scrolling, opening menus, sending and reading along; and what it was."""
    page = await house.page.context.new_page()
    ids = await talk_long(house.site.store, house.user.id, TURNS, ANSWER)
    await page.add_init_script(f"({_WATCH})()")
    await page.goto(f"{house.site.url}/chat/{ids[0]}")
    await expect(page.locator(".turn")).to_have_count(AT_ONCE)
    await page.evaluate("window.waited = []")
    await _use(page)
    waited = await page.evaluate("window.waited")
    await page.close()
    slowest, name = max(([0, "nothing"], *waited))
    return float(slowest), str(name)


async def _use(page: Page) -> None:
    field = page.get_by_label("메시지", exact=True)
    await field.press_sequentially(f"더 {OWNERS_WORD}")
    main = page.locator("#main")
    await main.hover()
    for step in (-2_000, -20_000, 30_000):
        await page.mouse.wheel(0, step)
    await page.locator("header details.menu summary").click()
    await page.keyboard.press("Escape")
    await page.locator(".turn").last.get_by_label("이 답에 대해").click()
    await page.keyboard.press("Escape")
    await field.press("Enter")
    await expect(page.locator(".turn").last.locator("[data-role=assistant]")).to_have_attribute("data-state", "done")
    await expect(page.get_by_text(f"더 {OWNERS_WORD}")).to_be_visible()
    await page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
