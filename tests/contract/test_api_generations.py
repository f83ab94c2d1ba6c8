"""What programs asked for lies in the store as it came, beside what people asked."""

from __future__ import annotations

import pytest

from shared.chat import GenerationState, Message, Origin, Role
from shared.errors import GenerationCrashed, NunmalError, PromptTooLong
from shared.ids import new_id
from shared.store import Store
from tests.factories import LANE, generation


@pytest.mark.parametrize("prompt", [None, "옛날에", (), (Message(Role.SYSTEM, "짧게."), Message(Role.USER, "안녕?"))])
async def test_a_whole_prompt_reaches_the_worker_as_it_was_given(
    store: Store, prompt: tuple[Message, ...] | str | None
) -> None:
    asked = generation(prompt=prompt, origin=Origin.TEXT)
    await store.generations.add(asked)
    claimed = await store.generations.claim(LANE, "w")

    assert claimed is not None
    assert (claimed.prompt, claimed.origin) == (prompt, Origin.TEXT)


async def test_prompts_are_not_read_where_only_states_count(store: Store) -> None:
    await store.generations.add(generation(prompt="긴 글"))
    await store.generations.claim(LANE, "w")

    assert [turn.prompt for turn in await store.generations.running()] == [None]


async def test_a_generation_from_before_there_was_an_api_is_a_page_s(store: Store) -> None:
    asked = generation()
    await store.generations.add(asked)
    await store.generations._generations.update_one({"_id": asked.id}, {"$unset": {"origin": 1, "prompt": 1}})

    found = await store.generations.get(asked.id)
    assert found is not None
    assert (found.origin, found.prompt) == (Origin.PAGE, None)


async def test_jobs_are_the_users_own_the_last_first(store: Store) -> None:
    ids = sorted(new_id() for _ in range(3))
    jobs = [generation(id=job_id, user_id="one", origin=Origin.JOB) for job_id in ids]
    others = [generation(user_id="one", origin=Origin.CHAT), generation(user_id="two", origin=Origin.JOB)]
    for asked in (*jobs, *others):
        await store.generations.add(asked)

    assert [job.id for job in await store.generations.latest("one", Origin.JOB, 2)] == ids[:0:-1]


@pytest.mark.parametrize(("error", "is_kept"), [(PromptTooLong(tokens=9, limit=3), False), (GenerationCrashed(), True)])
async def test_a_prompt_that_was_too_long_is_not_kept(store: Store, error: NunmalError, is_kept: bool) -> None:
    asked = generation(prompt="긴 글", origin=Origin.TEXT)
    await store.generations.add(asked)
    claimed = await store.generations.claim(LANE, "w")
    assert claimed is not None
    await store.generations.finish(claimed.id, claimed.attempt, GenerationState.FAILED, (), "", error)

    found = await store.generations.get(asked.id)
    assert found is not None
    assert (found.error_code, found.prompt) == (error.code, "긴 글" if is_kept else None)
