"""What a worker does when it, another worker, the store, or the question fails."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.chat import Generation, GenerationState, SamplingParams
from shared.errors import EngineLost, StoreUnavailable
from shared.messages import GenerateReply, WatchGeneration
from shared.store.generations import CheckpointResult
from tests.factories import generation
from tests.scripted_engine import ScriptedEngine
from tests.tiny_models import CONTEXT_LENGTH, VOCABULARY
from tests.worker_house import DRAWN, GREEDY, LANE, NODE, House, Node, expected_text, served


async def test_a_killed_workers_answer_goes_on_where_it_was_kept(house: House) -> None:
    sampling = replace(DRAWN, max_new_tokens=120)
    async with house.worker() as first:
        asked = await house.ask(sampling=sampling)
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > 5)
        await first.kill()
    left = await house.get(asked)
    assert left.state is GenerationState.RUNNING

    async with house.worker():
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.attempt == 2
    assert found.token_ids[: len(left.token_ids)] == left.token_ids
    assert found.answer == house.node.texts[asked.id] == expected_text(found.token_ids)


async def test_a_permit_that_comes_back_tells_of_a_lost_worker_before_its_lease_is_over(house: House) -> None:
    async with house.worker(stale_after_s=100.0) as first:
        asked = await house.ask(sampling=replace(DRAWN, max_new_tokens=250))
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > 5)
        async with house.worker(stale_after_s=100.0):
            await first.kill()
            assert await house.node.final(asked) == "done"

    assert (await house.get(asked)).answer == house.node.texts[asked.id]


async def test_a_worker_that_ends_gives_its_answers_back_with_what_they_have(house: House) -> None:
    async with house.worker() as first:
        asked = [await house.ask(sampling=replace(DRAWN, max_new_tokens=250), seed=number) for number in range(4)]
        await house.node.until(lambda: all(house.node.texts.get(each.id) for each in asked))
        began = asyncio.get_running_loop().time()
        await first.end()
        assert asyncio.get_running_loop().time() - began < 3
    left = [await house.get(each) for each in asked]
    assert all(each.state is GenerationState.QUEUED and each.token_ids for each in left)
    assert all(each.stalled_attempts == 0 for each in left)
    assert not await house.store.workers.alive(timedelta(seconds=60))

    async with house.worker():
        for each in asked:
            assert await house.node.final(each) == "done"

    for before, each in zip(left, asked, strict=True):
        found = await house.get(each)
        assert found.token_ids[: len(before.token_ids)] == before.token_ids
        assert found.answer == house.node.texts[each.id] == expected_text(found.token_ids)


async def test_a_checkpoint_that_lands_late_takes_nothing_from_an_answer_given_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver writes in threads: a call that nobody waits for any more is written all the same."""
    keep, late, has_overtaken = house.store.generations.checkpoint, asyncio.Event(), asyncio.Event()
    landed: list[asyncio.Task[CheckpointResult]] = []

    async def land(*what: Any, **how: Any) -> CheckpointResult:
        late.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(has_overtaken.wait(), 0.5)
        return await keep(*what, **how)

    async def overtaken(*what: Any, **how: Any) -> CheckpointResult:
        if not landed:
            landed.append(asyncio.create_task(land(*what, **how)))
            return await asyncio.shield(landed[0])
        result = await keep(*what, **how)
        has_overtaken.set()
        await landed[0]
        return result

    monkeypatch.setattr(house.store.generations, "checkpoint", overtaken)
    async with house.worker() as worker:
        asked = await house.ask(sampling=replace(DRAWN, max_new_tokens=250))
        await late.wait()
        seen = len(house.node.texts.get(asked.id, ""))
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > seen + 5)
        await worker.end()
    await landed[0]

    left = await house.get(asked)
    assert left.state is GenerationState.QUEUED
    assert left.answer.startswith(house.node.texts[asked.id])
    assert expected_text(left.token_ids).startswith(left.answer)


async def test_another_model_begins_the_answer_anew(house: House) -> None:
    asked = await house.ask()
    claimed = await house.store.generations.claim(LANE, "a worker that died")
    assert claimed is not None
    await house.store.generations.checkpoint(asked.id, claimed.attempt, [9, 9], "다른 모델", "another digest")
    await house.store.generations.requeue(asked.id, claimed.attempt)
    house.node.texts[asked.id] = "다른 모델의 글"

    async with house.worker():
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.answer == house.node.texts[asked.id] == expected_text(found.token_ids)
    assert len(found.token_ids) == 40


async def test_a_node_that_begins_to_watch_gets_what_it_lacks(house: House) -> None:
    late = Node()
    async with house.worker(), house.broker.consume_node("late", late):
        asked = await house.ask(sampling=SamplingParams(temperature=0.0, max_new_tokens=200))
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > 5)
        running = await house.get(asked)
        late.texts[asked.id] = house.node.texts[asked.id][:2]
        watch = WatchGeneration(generation_id=asked.id, node_id="late", offset=2)
        await house.broker.publish_control(watch, running.worker_id)
        assert await late.final(asked) == "done"

    assert late.texts[asked.id] == (await house.get(asked)).answer


async def test_a_fourth_claim_without_progress_fails_with_a_reason(house: House) -> None:
    asked = generation(lane=LANE, listeners=(NODE,))
    await house.store.generations.add(asked)
    for _ in range(3):
        claimed = await house.store.generations.claim(LANE, "a worker that died")
        assert claimed is not None
        await house.store.generations.requeue(asked.id, claimed.attempt)

    async with house.worker():
        await house.broker.publish_permit(LANE, GenerateReply(generation_id=asked.id))
        assert await house.node.final(asked) == "failed"

    found = await house.get(asked)
    assert (found.error_code, found.error_facts) == ("too_many_attempts", {"attempts": 3})
    assert [letter.generation_id for letter in await house.broker.dead_letters(10)] == [asked.id]


async def test_generations_that_stalled_are_tried_one_at_a_time_and_after_the_others(house: House) -> None:
    suspects = [generation(lane=LANE, listeners=(NODE,), sampling=GREEDY) for _ in range(3)]
    for asked in suspects:
        await house.store.generations.add(asked)
    claims = [await house.store.generations.claim(LANE, "a worker that died") for _ in suspects]
    for claimed in claims:
        assert claimed is not None
        assert await house.store.generations.requeue(claimed.id, claimed.attempt)
    engine = ScriptedEngine(vocabulary=VOCABULARY, context_length=CONTEXT_LENGTH, stop_ids=frozenset())
    model = served(engine, 5)
    async with house.worker(lambda: model, stale_after_s=100.0):
        engine.pause()
        for asked in suspects:
            await house.broker.publish_permit(LANE, GenerateReply(generation_id=asked.id))
        proven = await house.ask()
        await house.node.until(lambda: len(house.node.changes) == 2)
        states = [(await house.get(asked)).state.value for asked in (proven, *suspects)]
        engine.resume()
        for asked in (proven, *suspects):
            assert await house.node.final(asked) == "done"

    assert states[0] == "running"
    assert sorted(states[1:]) == ["queued", "queued", "running"]


async def test_a_question_longer_than_the_context_fails_alone(house: House) -> None:
    async with house.worker():
        too_long = await house.ask("가나다라" * CONTEXT_LENGTH)
        fine = await house.ask()
        assert await house.node.final(too_long) == "failed"
        assert await house.node.final(fine) == "done"

    assert (await house.get(too_long)).error_code == "prompt_too_long"


async def test_an_answer_over_its_deadline_fails_with_what_it_has(house: House) -> None:
    async with house.worker(deadline_s=0.05):
        asked = await house.ask(sampling=SamplingParams(temperature=0.0, max_new_tokens=256))
        assert await house.node.final(asked) == "failed"

    assert (await house.get(asked)).error_code == "deadline_exceeded"


async def test_a_permit_without_a_waiting_generation_is_forgotten(house: House) -> None:
    async with house.worker():
        asked = await house.ask()
        await house.broker.publish_permit(LANE, GenerateReply(generation_id=asked.id))
        assert await house.node.final(asked) == "done"
        again = await house.ask()
        assert await house.node.final(again) == "done"

    assert (await house.get(asked)).attempt == 1


async def test_tokens_go_on_while_the_store_is_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    is_away = asyncio.Event()

    def failing_while_away(name: str) -> None:
        real = getattr(house.store.generations, name)

        async def call(*arguments: object, **options: object) -> object:
            if is_away.is_set():
                raise StoreUnavailable
            return await real(*arguments, **options)

        monkeypatch.setattr(house.store.generations, name, call)

    for name in ("checkpoint", "finish", "first_token"):
        failing_while_away(name)
    async with house.worker():
        is_away.set()
        asked = await house.ask()
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > 3)
        is_away.clear()
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.answer == house.node.texts[asked.id] == expected_text(found.token_ids)


async def test_a_claim_whose_reply_was_lost_is_not_lost(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real = house.store.generations.claim
    lost: list[Generation | None] = []

    async def claim(*what: Any, **options: Any) -> Generation | None:
        claimed = await real(*what, **options)
        if not lost and claimed is not None:
            lost.append(claimed)
            raise StoreUnavailable
        return claimed

    monkeypatch.setattr(house.store.generations, "claim", claim)
    async with house.worker():
        asked = await house.ask()
        assert await house.node.final(asked) == "done"

    assert (await house.get(asked)).attempt == 2


async def test_a_lost_engine_gives_its_answers_back_and_ends_the_worker(house: House) -> None:
    engine, other = (
        ScriptedEngine(vocabulary=VOCABULARY, context_length=CONTEXT_LENGTH, stop_ids=frozenset()) for _ in range(2)
    )

    with pytest.raises(EngineLost):
        async with house.worker(lambda: served(engine), stale_after_s=100.0):
            asked = await house.ask(sampling=SamplingParams(max_new_tokens=200))
            await house.node.until(lambda: bool(house.node.texts.get(asked.id)))
            engine.pause()
            engine.lose()
            await house.node.until(lambda: (asked.id, "queued") in house.node.changes)
    waiting = await house.get(asked)
    async with house.worker(lambda: served(other), stale_after_s=100.0):
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert (waiting.state, found.attempt) == (GenerationState.QUEUED, 2)
    assert found.token_ids[: len(waiting.token_ids)] == waiting.token_ids != ()


async def test_an_answer_that_another_attempt_owns_is_left_alone(house: House) -> None:
    engine = ScriptedEngine(vocabulary=VOCABULARY, context_length=CONTEXT_LENGTH, stop_ids=frozenset())
    model = served(engine)
    async with house.worker(lambda: model):
        engine.pause()
        asked = await house.ask(sampling=SamplingParams(max_new_tokens=200))
        await house.node.until(lambda: (asked.id, "running") in house.node.changes)
        await house.store.generations.requeue(asked.id, 1)
        stolen = await house.store.generations.claim(LANE, "another")
        assert stolen is not None
        engine.resume()
        other = await house.ask(sampling=SamplingParams(max_new_tokens=5))
        assert await house.node.final(other) == "done"

    found = await house.get(asked)
    assert (found.state, found.attempt, found.worker_id) == (GenerationState.RUNNING, 2, "another")
    assert found.token_ids == ()
