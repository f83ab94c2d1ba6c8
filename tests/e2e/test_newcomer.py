"""A newcomer's twelve tasks: each is done within three presses from the chat page, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.e2e.conftest import LANE, Site
from tests.scripted_worker import ScriptedWorker
from tests.ux.tasks import MOST_PRESSES, answer_as_asked, presses_of_all

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def answering(site: Site) -> AsyncIterator[ScriptedWorker]:
    async with ScriptedWorker(site.store, site.broker, LANE, answer_as_asked) as worker:
        yield worker


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize("width", [360, 1280])
async def test_every_task_takes_at_most_three_presses(person: Page, width: int) -> None:
    await person.set_viewport_size({"width": width, "height": 760})
    await person.reload()  # now the page knows that its model sees
    presses = await presses_of_all(person, is_phone=width < 900)

    assert len(presses) == 12
    assert max(presses.values()) <= MOST_PRESSES, presses
