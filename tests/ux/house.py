"""A service with somebody in it: conversations with all that an answer can hold, an adapter, a shared link, a grant."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from playwright.async_api import Browser, Page, expect
from quart import request, template_rendered

from infra.embedded_store import embedded_store
from shared.chat import AccountRole, Generation, Origin, User
from shared.evidence import Evidence, EvidenceObject, PictureEvidence
from tests.adapter_folders import BASE
from tests.e2e.conftest import LANE, Site, chromium, running_site, sign_up
from tests.e2e.picture_page import choose
from tests.e2e.test_adapters_page import push
from tests.picture_files import png
from tests.scripted_worker import ScriptedWorker
from tests.ux.tasks import answer_as_asked
from tests.web_visitor import web_settings

OWNERS_WORD = "보여 줄래요"
ANSWER = """네, **용어(Term)**을 정리해 볼게요. `print()`도 있어요.

# 큰 제목

1. 첫째예요
2. 둘째예요
   - 안쪽이에요

둥근 것의 넓이는 $\\pi r^2$이에요.

$$\\begin{aligned}x&=\\frac{-b\\pm\\sqrt{b^2-4ac}}{2a}\\\\&=\\sum_{i=1}^n i\\end{aligned}$$

> 옮긴 말이에요.

| 이름 | 값 |
|---|--:|
| 하나 | 1 |

```python
def hello(name: str) -> str:
    return f"안녕, {name}"  # 인사
```

[더 읽기](https://example.com/)
"""


WRITTEN = """버들 하천의 길이는 42킬로미터예요 [1]. 상류에는 수달이 살아요 [1].

하류에는 서울대학교가 있어요 [1]."""
_SETTINGS = web_settings(web={"bcrypt_rounds": 4, "sign_ups_per_address": 100, "document_model": "nunmal"})


@dataclass
class House:
    """`conversation`: its address. `templates` and `rules`: what has been drawn so far, and for which addresses."""

    site: Site
    worker: ScriptedWorker
    browser: Browser
    page: Page
    user: User
    conversation: str
    turn_id: str
    version: str
    templates: set[str]
    rules: set[str]

    async def become(self, role: AccountRole) -> None:
        await self.site.store.users.set_role(self.user.id, role)
        self.user = replace(self.user, role=role)


async def say(generation: Generation) -> AsyncIterator[str]:
    """All that an answer can hold, to its owner; to newcomers what they expect."""
    if generation.origin is Origin.DOCUMENT:
        yield WRITTEN
        return
    if OWNERS_WORD in generation.question:
        yield ANSWER
        return
    async for piece in answer_as_asked(generation):
        yield piece


def evidence(turn: Generation) -> Evidence | None:
    """Of a question about pictures."""
    if not turn.pictures:
        return None
    seen = EvidenceObject(number=1, box=(0.1, 0.1, 0.5, 0.5), name="빨간 상자", used=True)
    pictures = tuple(PictureEvidence(picture_id=each.id, objects=(seen,)) for each in turn.pictures)
    return Evidence(source="program", pictures=pictures)


@contextlib.asynccontextmanager
async def running_house() -> AsyncIterator[House]:
    """Furnished by its own pages, in a browser that wants nothing to move."""
    templates: set[str] = set()
    rules: set[str] = set()

    def drawn(_: object, template: object, **context: object) -> None:
        templates.add(str(getattr(template, "name", "")))
        if request.method == "GET" and request.url_rule:
            rules.add(request.url_rule.rule)

    with (
        tempfile.TemporaryDirectory() as store_directory,
        tempfile.TemporaryDirectory() as directory,
        template_rendered.connected_to(drawn),
    ):
        async with (
            embedded_store(Path(store_directory)) as store_url,
            running_site(store_url, _SETTINGS) as site,
            ScriptedWorker(site.store, site.broker, LANE, say) as worker,
            chromium() as browser,
        ):
            worker.evidence = evidence
            context = await browser.new_context(locale="ko-KR", timezone_id="Asia/Seoul", reduced_motion="reduce")
            page = await context.new_page()
            await sign_up(page, site.url)
            (user,) = await site.store.users.everyone()
            conversation = await _talk(page, site)
            turn_id = (await page.locator(".turn").last.get_attribute("id") or "").removeprefix("turn-")
            version = await _adapter(page, site, Path(directory), user)
            house = House(*(site, worker, browser, page, user, conversation, turn_id, version, templates, rules))
            yield house
            await context.close()


async def _talk(page: Page, site: Site) -> str:
    """About a picture, and once more; the conversation's address."""
    await page.reload()  # the page asks whether the model sees
    await choose(page, png(320, 240))
    for count, question in enumerate(
        (f"{OWNERS_WORD} 사진에 무엇이 있나요?", f"고마워요. 표와 코드도 {OWNERS_WORD}?"), start=1
    ):
        await page.get_by_label("메시지").fill(question)
        await page.get_by_label("메시지").press("Enter")
        await expect(page.locator("[data-role=assistant][data-state=done]")).to_have_count(count)
    return page.url.removeprefix(site.url)


async def _adapter(page: Page, site: Site, directory: Path, user: User) -> str:
    await site.store.users.set_role(user.id, AccountRole.RESEARCHER)
    await site.store.adapters.describe_base(BASE)
    return await push(page, site, directory)
