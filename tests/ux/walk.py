"""Every page, one after the other, each as its owner comes to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pyotp
from playwright.async_api import FilePayload, Page, expect

from shared.chat import AccountRole
from shared.comparisons import Pairing
from shared.ids import new_id
from shared.store.grants import new_grant
from tests.documents import PAGES, pdf_of
from tests.ingest_house import digest_worker, digested, ended, ingest_worker
from tests.unit.shared.test_digesting import KOREAN
from tests.ux.house import House
from tests.web_visitor import PASSWORD


async def every_page(house: House) -> AsyncIterator[str]:
    """The name of a page that is open now, until the last. `house.page` ends logged out."""
    page, url = house.page, house.site.url

    async def at(path: str) -> str:
        await page.goto(f"{url}{path}")
        return path

    yield await at(house.conversation)
    yield f"{await _with_menus(page)} with its menus open"
    for path in ("/chat", f"{house.conversation}/delete", f"{house.conversation}/turns/{house.turn_id}/edit"):
        yield await at(path)
    for path in ("/search", "/search?q=%ED%91%9C", "/library", "/library/links", "/library/import"):
        yield await at(path)
    for path in ("/account", "/account/password", "/account/delete", "/account/second-step"):
        yield await at(path)
    for path in ("/keys", "/usage", "/notices", "/developers", "/logout"):
        yield await at(path)
    yield await at("/nowhere")
    for part in (_shared, _documents, _digests, _adapters, _comparison, _operators, _outside):
        async for name in part(house):
            yield name


async def _with_menus(page: Page) -> str:
    await page.locator("header details.menu summary").click()
    await page.locator("details.settings summary").click()
    for evidence in await page.locator("details.evidence summary").all():
        await evidence.click()
    return "/chat/<conversation_id>"


async def _shared(house: House) -> AsyncIterator[str]:
    page, conversation = house.page, house.conversation.removeprefix("/chat")
    await page.goto(f"{house.site.url}/library{conversation}")
    yield "/library/<conversation_id>"
    await page.get_by_role("button", name="링크 만들기").click()
    link = await page.get_by_label("링크를 만들었어요").input_value()
    yield "/library/<conversation_id> with a link"
    await page.goto(link)
    yield "/shared/<token>"
    await page.goto(f"{house.site.url}/library{conversation}/print")
    yield "/library/<conversation_id>/print"
    await page.goto(f"{house.site.url}/library")
    await page.get_by_role("checkbox").first.check()
    await page.get_by_role("button", name="지우기").click()
    yield "/library, about to delete"


async def _documents(house: House) -> AsyncIterator[str]:
    """One is uploaded, read and asked."""
    page, url, site = house.page, f"{house.site.url}/documents", house.site
    await page.goto(url)
    yield "/documents"
    files = [FilePayload(name="마을 안내.pdf", mimeType="application/pdf", buffer=pdf_of(PAGES))]
    await page.locator("input[type=file]").set_input_files(files)
    await page.locator("form[enctype] button").click()
    await expect(page.get_by_text("마을 안내.pdf")).to_be_visible()
    yield "/documents, one waits"
    (document,) = await site.store.documents.of_user(house.user.id)
    async with ingest_worker(site.store, site.broker):
        await ended(site.store, document)
    await page.goto(f"{url}?q={quote('버들 하천은 길이가 얼마나 되나요?')}")
    await expect(page.locator(".citations a.tag").first).to_be_visible()
    yield "/documents, asked"
    await page.locator("#q").fill("버들 하천은 길이가 얼마나 되나요?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".uncited")).to_be_visible()
    yield "/documents/answers/<answer_id>"
    await page.goto(url)
    await page.get_by_text("지난 답 1개").click()
    yield "/documents, with earlier answers"
    await page.locator("#name").fill("마을")
    await page.get_by_role("button", name="만들기").click()
    await page.locator(".tags a.tag").first.click()
    await page.get_by_label("마을 안내.pdf의 모음").select_option("마을")
    await page.get_by_role("button", name="옮기기").click()
    await page.get_by_role("link", name="마을 1").click()
    await page.locator("summary", has_text="모음 지우기").click()
    yield "/documents, one collection"
    await page.goto(url)
    await page.locator("#q").fill("버들 하천은 길이가 얼마나 되나요?")
    await page.keyboard.press("Enter")
    await page.locator(".citations a.tag").first.click()
    await page.get_by_text("이 쪽의 글").click()
    await expect(page.locator("mark")).to_be_visible()
    yield "/documents/<document_id>/pages/<int:number>"


async def _digests(house: House) -> AsyncIterator[str]:
    """One is pasted and digested, two come together, one is refused."""
    page, url, site = house.page, f"{house.site.url}/digests", house.site
    await page.goto(url)
    yield "/digests"
    await page.locator("#content").fill(KOREAN)
    await page.locator("form[enctype] button").click()
    await expect(page.locator("h1")).to_contain_text("가비지 컬렉션")
    yield "/digests/<digest_id>, it waits"
    (job,) = await site.store.digests.of_user(house.user.id)
    async with digest_worker(site.store, site.broker):
        await digested(site.store, job)
    await page.goto(f"{url}/{job.id}")
    await expect(page.locator(".terms dt").first).to_be_visible()
    yield "/digests/<digest_id>"
    await page.goto(url)
    data = json.dumps([{"content": KOREAN}, {"content": ""}]).encode()
    file = FilePayload(name="글.json", mimeType="application/json", buffer=data)
    await page.locator("input[type=file]").set_input_files([file])
    await page.locator("form[enctype] button").click()
    await expect(page.locator("progress")).to_be_visible()
    yield "/digests/batches/<batch_id>"
    await page.goto(url)
    await page.locator("form[enctype] button").click()
    await expect(page.locator("#digest-error")).to_be_visible()
    yield "/digests, refused"


async def _comparison(house: House) -> AsyncIterator[str]:
    page, url = house.page, f"{house.site.url}/compare"
    await page.goto(url)
    yield "/compare, nothing is offered"
    made_at = datetime.now(UTC)
    await house.site.store.pairings.add(Pairing(new_id(), house.version, None, True, house.user.id, made_at))
    house.worker.adapters = (house.version,)
    await page.goto(url)
    yield "/compare"
    await page.get_by_label("질문").fill("안녕하세요?")
    await page.get_by_role("button", name="두 답 받기").click()
    better = page.get_by_role("button", name="왼쪽이 더 좋아요")
    await expect(better).to_be_visible()
    yield "/compare/<comparison_id>"
    await better.click()
    await expect(page.locator(".columns section h2 code")).to_have_count(2)
    yield "/compare/<comparison_id> with its names"


async def _adapters(house: House) -> AsyncIterator[str]:
    page, url = house.page, f"{house.site.url}/adapters"
    await page.goto(f"{house.site.url}/comparisons")
    yield "/comparisons"
    for path in ("", f"/{house.version}/diff/{house.version}", f"/{house.version}/try"):
        await page.goto(url + path)
        yield f"/adapters{path}"
    await page.get_by_role("textbox").first.fill("안녕하세요?")
    await page.get_by_role("button", name="물어보기").click()
    await page.wait_for_url("**/trials/*")
    yield "/adapters/trials/<trial_id>"


async def _operators(house: House) -> AsyncIterator[str]:
    """Somebody who reads their own conversation, for want of another person."""
    page, url, store = house.page, house.site.url, house.site.store
    await house.become(AccountRole.OPERATOR)
    await page.goto(f"{url}/ops")
    yield "/ops before the second step"
    await page.goto(f"{url}/account/second-step")
    await page.get_by_label("비밀번호").fill(PASSWORD)
    await page.get_by_role("button", name="시작하기").click()
    await expect(page.locator(".totp-secret")).to_be_visible()
    yield "/account/second-step, about to begin"
    totp = pyotp.TOTP((await page.locator(".totp-secret").inner_text()).replace(" ", ""))
    await page.get_by_label("인증 코드").fill(totp.now())
    await page.get_by_role("button", name="2단계 인증 켜기").click()
    yield "/account/second-step with its codes"
    await page.goto(f"{url}/account/second-step")
    yield "/account/second-step, on"
    grant = new_grant(house.user, house.user.id, "사용자가 답이 이상하다고 도움을 청했습니다.", 15)
    await store.grants.add(grant)
    for path in ("/ops", "/ops/access", f"/ops/access/{grant.id}", f"/ops/access/{grant.id}{house.conversation[5:]}"):
        await page.goto(url + path)
        yield path
    await page.goto(f"{url}/chat")
    yield "/chat with a notice"
    await page.goto(f"{url}/notices")
    yield "/notices with one"


async def _outside(house: House) -> AsyncIterator[str]:
    page, url = house.page, house.site.url
    token = await house.site.store.resets.create(house.user.id, timedelta(hours=1))
    await page.goto(f"{url}/logout")
    await page.get_by_role("main").get_by_role("button").click()
    await page.wait_for_url("**/login")
    for path in ("/login", "/signup", "/account/deleted", "/reset", f"/reset/{token}"):
        await page.goto(url + path)
        yield path.replace(token, "<token>")
    await page.goto(f"{url}/signup")
    await page.get_by_role("button", name="가입하기").click()
    yield "/signup refused"
    await page.goto(f"{url}/login")
    await page.get_by_label("이메일").fill(house.user.email)
    await page.get_by_label("비밀번호").fill(PASSWORD)
    await page.get_by_role("button", name="로그인").click()
    await expect(page.get_by_label("인증 코드")).to_be_visible()
    yield "/login/code"
