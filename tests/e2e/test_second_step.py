"""The second step in a real browser: found from the chat, switched on, asked for at log-in."""

from __future__ import annotations

import time

import pyotp
import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import Site
from tests.web_visitor import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_enrolment_and_log_in_with_a_code_and_with_a_recovery_code(person: Page, site: Site) -> None:
    await person.get_by_role("link", name="김하늘").click()
    await person.wait_for_url("**/account")
    email = await person.locator("dl.facts dd").inner_text()
    await expect(person.get_by_text("Chrome · Linux")).to_be_visible()
    await person.locator('a[href="/account/second-step"]').click()
    await person.get_by_label("비밀번호").fill(PASSWORD)
    await person.get_by_role("button", name="시작하기").click()

    picture = person.get_by_role("img", name="인증 앱으로 찍는 QR 코드")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.complete && image.naturalWidth > 0")  # the policy lets it load
    totp = pyotp.TOTP((await person.locator(".totp-secret").inner_text()).replace(" ", ""))
    await person.get_by_label("인증 코드").fill("000000")
    await person.get_by_role("button", name="2단계 인증 켜기").click()
    await expect(person.get_by_role("alert")).to_contain_text("인증 코드가 맞지 않거나")
    await person.get_by_label("인증 코드").fill(totp.now())
    await person.get_by_role("button", name="2단계 인증 켜기").click()
    codes = await person.locator(".codes code").all_inner_texts()
    assert len(codes) == 10

    for code, left in ((totp.at(time.time(), counter_offset=1), 10), (codes[0], 9)):
        await person.goto(f"{site.url}/account")
        await person.get_by_role("button", name="모든 곳에서 로그아웃").click()
        await person.wait_for_url("**/login")
        await person.get_by_label("이메일").fill(email)
        await person.get_by_label("비밀번호").fill(PASSWORD)
        await person.get_by_role("button", name="로그인").click()
        await expect(person.get_by_role("heading", name="한 단계 더 확인할게요")).to_be_visible()
        await expect(person.get_by_label("인증 코드")).to_be_focused()
        await person.get_by_label("인증 코드").fill(code)
        await person.get_by_role("button", name="로그인").click()
        await person.wait_for_url("**/chat")
        await person.goto(f"{site.url}/account")
        await expect(person.get_by_text(f"복구 코드가 {left}개 남았어요")).to_be_visible()
