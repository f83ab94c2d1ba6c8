"""What every engine promises (workers/engine/base.py), kept by the real one and by the one tests use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from shared.errors import GenerationError, PromptTooLong
from tests.scripted_engine import ScriptedEngine
from tests.tiny_models import tiny_model
from workers.engine.base import Engine, Request, TokenEvent
from workers.engine.model_runner import ModelRunner
from workers.engine.transformers_engine import ModelFacts, TransformersEngine

SLOTS = 3
CONTEXT_LENGTH = 64
NEVER_STOPS = frozenset[int]()


def request(name: str = "a", *prompt: int, **changes: object) -> Request:
    base = Request(name, prompt or (5, 6, 7), (), seed=1, temperature=0.0, top_p=1.0, top_k=0, max_new_tokens=8)
    return replace(base, **changes)  # type: ignore[arg-type]  # names are checked by replace


async def events_of(engine: Engine, asked: Request) -> list[TokenEvent]:
    async with asyncio.timeout(20), aclosing(engine.submit(asked)) as events:
        return [event async for event in events]


def tokens(events: list[TokenEvent]) -> list[int]:
    return [event.token_id for event in events if event.token_id is not None]


class EngineContract:
    """Subclasses give the fixture `engine`: SLOTS slots, CONTEXT_LENGTH, no stop ids, at least 50 token ids."""

    async def test_an_answer_has_as_many_tokens_as_were_asked_for(self, engine: Engine) -> None:
        events = await events_of(engine, request(max_new_tokens=5))

        assert len(tokens(events)) == 5
        assert [event.finish_reason for event in events] == [None] * 4 + ["length"]

    async def test_the_same_request_gives_the_same_tokens(self, engine: Engine) -> None:
        first = await events_of(engine, request(temperature=0.9))

        assert tokens(await events_of(engine, request(temperature=0.9))) == tokens(first)

    async def test_more_requests_than_slots_all_get_their_own_tokens(self, engine: Engine) -> None:
        asked = [request(f"r{number}", 5, 6, 7 + number, max_new_tokens=3 + number) for number in range(3 * SLOTS)]
        alone = [tokens(await events_of(engine, each)) for each in asked]

        together = await asyncio.gather(*(events_of(engine, each) for each in asked))

        assert [tokens(events) for events in together] == alone

    @pytest.mark.parametrize("temperature", [0.0, 1.0])
    async def test_a_resumed_answer_continues_with_the_same_tokens(self, engine: Engine, temperature: float) -> None:
        whole = tokens(await events_of(engine, request(temperature=temperature)))

        for cut in range(len(whole)):
            resumed = request(temperature=temperature, generated=tuple(whole[:cut]))
            assert tokens(await events_of(engine, resumed)) == whole[cut:]

    async def test_a_resumed_answer_that_was_complete_ends_without_a_token(self, engine: Engine) -> None:
        whole = tokens(await events_of(engine, request()))

        assert await events_of(engine, request(generated=tuple(whole))) == [TokenEvent(None, "length")]

    async def test_an_answer_ends_where_the_context_ends(self, engine: Engine) -> None:
        prompt = tuple(5 + place % 20 for place in range(CONTEXT_LENGTH - 4))

        events = await events_of(engine, request("a", *prompt, max_new_tokens=100))

        assert len(tokens(events)) == 4
        assert events[-1].finish_reason == "length"

    async def test_a_prompt_that_leaves_no_room_is_refused_with_its_length(self, engine: Engine) -> None:
        (event,) = await events_of(engine, request("a", *[5] * CONTEXT_LENGTH))

        assert isinstance(event.error, PromptTooLong)
        assert event.error.facts == {"tokens": CONTEXT_LENGTH, "limit": CONTEXT_LENGTH - 1}

    @pytest.mark.parametrize(
        "bad",
        [
            {"prompt": ()},
            {"prompt": (5, 10_000)},
            {"prompt": (5, -1)},
            {"generated": (10_000,)},
            {"max_new_tokens": 0},
            {"temperature": -1.0},
            {"temperature": float("nan")},
            {"top_p": 0.0},
            {"top_k": -1},
        ],
    )
    async def test_a_bad_request_fails_alone(self, engine: Engine, bad: dict[str, object]) -> None:
        good = asyncio.create_task(events_of(engine, request("good")))

        (event,) = await events_of(engine, replace(request("bad"), **bad))  # type: ignore[arg-type]  # on purpose

        assert event.finish_reason == "error"
        assert isinstance(event.error, GenerationError)
        assert len(tokens(await good)) == 8

    async def test_an_id_that_is_running_is_refused(self, engine: Engine) -> None:
        async with aclosing(engine.submit(request(max_new_tokens=50))) as first:
            await anext(aiter(first))

            (event,) = await events_of(engine, request())

            assert event.finish_reason == "error"

    async def test_a_cancelled_request_ends_and_frees_its_slot(self, engine: Engine) -> None:
        async with asyncio.timeout(20), aclosing(engine.submit(request(max_new_tokens=60))) as events:
            await anext(aiter(events))
            engine.cancel("a")
            rest = [event async for event in events]

        assert rest[-1].finish_reason == "cancelled"
        assert len(rest) < 50
        assert engine.stats().running == 0

    async def test_a_waiting_request_can_be_cancelled(self, engine: Engine) -> None:
        running = [asyncio.create_task(events_of(engine, request(f"r{n}", max_new_tokens=40))) for n in range(SLOTS)]
        waiting = asyncio.create_task(events_of(engine, request("late", max_new_tokens=40)))
        await asyncio.sleep(0)

        engine.cancel("late")

        assert (await waiting)[-1].finish_reason == "cancelled"
        assert all(len(tokens(events)) == 40 for events in await asyncio.gather(*running))

    async def test_closing_the_iterator_cancels_the_request(self, engine: Engine) -> None:
        async with aclosing(engine.submit(request(max_new_tokens=60))) as events:
            await anext(aiter(events))

        assert len(tokens(await events_of(engine, request("next")))) == 8
        assert engine.stats().running == 0

    async def test_cancelling_an_unknown_request_does_nothing(self, engine: Engine) -> None:
        engine.cancel("nobody")

        assert len(tokens(await events_of(engine, request()))) == 8

    async def test_closing_the_engine_ends_running_requests_as_cancelled(self, engine: Engine) -> None:
        running = asyncio.create_task(events_of(engine, request(max_new_tokens=60)))
        await asyncio.sleep(0)

        await engine.close()

        assert (await running)[-1].finish_reason == "cancelled"
        assert (await events_of(engine, request("late")))[-1].finish_reason == "cancelled"

    async def test_stats_tell_slots_and_an_idle_engine(self, engine: Engine) -> None:
        stats = engine.stats()

        assert (stats.running, stats.waiting, stats.slots) == (0, 0, SLOTS)


class TestTransformersEngine(EngineContract):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[Engine]:
        facts = ModelFacts("tiny", 320, CONTEXT_LENGTH, NEVER_STOPS)
        engine = TransformersEngine(ModelRunner(tiny_model()), facts, slots=SLOTS, prefill_chunk=16)
        yield engine
        await engine.close()


class TestScriptedEngine(EngineContract):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[Engine]:
        engine = ScriptedEngine(slots=SLOTS, context_length=CONTEXT_LENGTH, stop_ids=NEVER_STOPS)
        yield engine
        await engine.close()
