"""The researcher's pages in a browser: a roll-out is seen as it goes, and answers stream side by side."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from shared.adapters.folder import FILES
from shared.adapters.gate import GateItem, table_of
from shared.adapters.rollout import GateOutcome, GateRun, Report, WorkerState, begin_gate, report
from shared.chat import AccountRole
from shared.rollouts import settle_all
from shared.store.times import now
from tests.adapter_folders import BASE, write_adapter
from tests.e2e.conftest import Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def researcher(person: Page, site: Site) -> Page:
    (document,) = await site.store._database["users"].find({}).to_list(2)
    await site.store.users.set_role(document["_id"], AccountRole.RESEARCHER)
    await site.store.adapters.describe_base(BASE)
    await person.goto(f"{site.url}/adapters")
    return person


async def push(page: Page, site: Site, directory: Path) -> str:
    """By the form. Returns the version's id."""
    write_adapter(directory)
    await page.goto(f"{site.url}/adapters")
    await page.get_by_label("이름").fill("wallpaper")
    for file in FILES:
        await page.get_by_label(file).set_input_files(directory / file)
    await page.get_by_role("button", name="올리기").click()
    await expect(page.get_by_role("heading", name="wallpaper")).to_be_visible()
    (version,) = await site.store.adapters.versions()
    return version.id


async def reported(site: Site, state: WorkerState) -> None:
    """By the one worker that serves the base."""
    alias = await site.store.adapters.alias("wallpaper")
    assert alias.rollout is not None
    rollout_id, said = alias.rollout.id, Report(state=state, at=now())
    await site.store.adapters.change("wallpaper", lambda alias: report(alias, rollout_id, "worker-1", said))
    await site.store.workers.beat("worker-1", "chat.test", "test", BASE.digest, 1, 0)
    await settle_all(site.store, timedelta(minutes=1))


async def test_a_roll_out_is_seen_as_it_goes(researcher: Page, site: Site, tmp_path: Path) -> None:
    await push(researcher, site, tmp_path)
    await site.store.workers.beat("worker-1", "chat.test", "test", BASE.digest, 1, 0)
    await researcher.get_by_role("button", name="쓰기 시작").click()
    workers = researcher.get_by_label("워커 상태")
    await expect(workers).to_contain_text("기다리는 중")
    await researcher.get_by_role("heading", name="어댑터", exact=True).click()  # what is in use stays as it is

    for state, words in ((WorkerState.VERIFIED, "확인함"), (WorkerState.TESTED, "시험을 마침")):
        await reported(site, state)
        await expect(workers).to_contain_text(words)

    await expect(researcher.get_by_text("쓰는 중", exact=True)).to_be_visible()


async def test_answers_stream_side_by_side(researcher: Page, site: Site, tmp_path: Path) -> None:
    version = await push(researcher, site, tmp_path)
    async with site.worker() as worker:
        worker.adapters = (version,)
        await researcher.get_by_role("link", name="써 보기").click()
        await researcher.get_by_label("질문").fill("벽지에 얼룩이 있어요")
        await researcher.get_by_label("지시문").fill("짧게 답해 주세요.")
        await researcher.get_by_role("button", name="물어보기").click()
        columns = researcher.locator(".columns section")
        await expect(columns).to_have_count(3)

        site.say("습기", "습기", "습기")
        for number in range(3):
            await expect(columns.nth(number)).to_contain_text("습기")
        for _ in range(3):
            site.say(then_end=True)
        for number in range(3):
            await expect(columns.nth(number).locator("[data-role=assistant]")).to_have_attribute("data-state", "done")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_wider_than_the_page(
    researcher: Page, site: Site, tmp_path: Path, width: int, scheme: str
) -> None:
    version = await push(researcher, site, tmp_path)
    items = [
        GateItem(question=f"{number}?", choices=("네", "아니요"), answer="네", group="상식") for number in range(20)
    ]
    table = table_of(items, [True] * 20, [False] * 20, None)
    run = GateRun(id="1", adapter=version, by="me", began_at=0, beat_at=0, of=40, done=40)
    run = run.model_copy(update={"outcome": GateOutcome.LOST, "table": table})
    await site.store.adapters.change("wallpaper", lambda alias: begin_gate(alias, run, 0.0))
    await site.store.workers.beat("worker-1", "chat.test", "test", BASE.digest, 1, 0)
    await researcher.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of its literals
    await researcher.set_viewport_size({"width": width, "height": 900})

    for path in ("/adapters", f"/adapters/{version}/try", f"/adapters/{version}/diff/{version}"):
        await researcher.goto(f"{site.url}{path}")
        assert await researcher.evaluate("document.documentElement.scrollWidth") <= width
