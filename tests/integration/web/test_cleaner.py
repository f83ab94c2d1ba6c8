"""Pictures are cleaned in processes that may crash, hang or starve without costing the node more than an answer."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from shared.errors import PictureAnimated, PictureBroken, TooBusy
from tests.picture_files import animated, png
from web.pictures.cleaner import Cleaner


@pytest.fixture
async def cleaner() -> AsyncIterator[Cleaner]:
    cleaner = Cleaner(most_pixels=1_000_000, longest_side=100)
    yield cleaner
    await cleaner.close()


def pids(cleaner: Cleaner) -> list[int]:
    return [process.pid for process in cleaner._idle]


async def test_one_after_another_share_a_process_and_refusals_keep_their_names(cleaner: Cleaner) -> None:
    first = await cleaner.clean("u", png(200, 100))
    before = pids(cleaner)
    with pytest.raises(PictureAnimated):
        await cleaner.clean("u", animated("WEBP"))

    assert (first.width, first.height, first.mime) == (100, 50, "image/png")
    assert (await cleaner.clean("u", png(200, 100))).data == first.data
    assert pids(cleaner) == before


async def test_a_process_that_crashes_costs_one_answer(cleaner: Cleaner) -> None:
    await cleaner.clean("u", png())
    (pid,) = pids(cleaner)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(PictureBroken):
        await cleaner.clean("u", png())

    assert (await cleaner.clean("u", png())).width == 64
    assert pids(cleaner) != [pid]


async def test_a_process_that_hangs_is_ended() -> None:
    cleaner = Cleaner(most_pixels=1_000_000, longest_side=100, within_s=15)
    await cleaner.clean("u", png())
    (pid,) = pids(cleaner)
    os.kill(pid, signal.SIGSTOP)
    cleaner._within_s = 0.2
    with pytest.raises(PictureBroken):
        await cleaner.clean("u", png())

    assert pids(cleaner) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await cleaner.close()


async def test_whoever_leaves_in_the_middle_takes_nobodys_answer(cleaner: Cleaner) -> None:
    leaving = asyncio.create_task(cleaner.clean("u", png(900, 900, seed=1)))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])

    assert (await cleaner.clean("u", png(30, 20, seed=2))).width == 30


async def test_so_many_of_one_person_wait_and_no_more(cleaner: Cleaner) -> None:
    asked = [cleaner.clean("u", png(seed=seed)) for seed in range(20)] + [cleaner.clean("other", png())]
    *answers, others = await asyncio.gather(*asked, return_exceptions=True)

    assert sum(isinstance(answer, TooBusy) for answer in answers) == 4
    assert len({answer.data for answer in answers if not isinstance(answer, BaseException)}) == 16
    assert not isinstance(others, BaseException)
    assert len(pids(cleaner)) == 2


async def test_it_sees_none_of_our_settings(cleaner: Cleaner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUNMAL_SECRET_KEY", "planted")
    await cleaner.clean("u", png())
    with open(f"/proc/{pids(cleaner)[0]}/environ", "rb") as environment:  # noqa: ASYNC230, PTH123  # a line of the kernel's
        assert b"planted" not in environment.read()
