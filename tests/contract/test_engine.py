"""What every engine promises (workers/engine/base.py), kept by the real one and by the one tests use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.errors import (
    AdapterRefused,
    AdapterUnknown,
    GenerationError,
    PicturesUnsupported,
    PromptTooLong,
    SchemaUnsupported,
)
from tests.engine_runs import events_of
from tests.scripted_engine import ScriptedEngine
from tests.tiny_models import tiny_model
from workers.engine.base import Engine, Mask, Picture, Request, TokenEvent
from workers.engine.facts import ModelFacts
from workers.engine.model_runner import ModelRunner
from workers.engine.transformers_engine import TransformersEngine

SLOTS = 3
CONTEXT_LENGTH = 64
NEVER_STOPS = frozenset[int]()


def request(name: str = "a", *prompt: int, **changes: object) -> Request:
    base = Request(name, prompt or (5, 6, 7), (), seed=1, temperature=0.0, top_p=1.0, top_k=0, max_new_tokens=8)
    return replace(base, **changes)  # type: ignore[arg-type]  # names are checked by replace


def tokens(events: list[TokenEvent]) -> list[int]:
    return [event.token_id for event in events if event.token_id is not None]


class Climb:
    """A grammar, and its state: even tokens, each greater than the last, until one is at least `top`."""

    def __init__(self, top: int, *, fails_after: int | None = None, last: int = 9, count: int = 0) -> None:
        self.top, self.fails_after = top, fails_after
        self.last, self.count = last, count

    def begin(self, generated: Sequence[int]) -> Climb:
        state = Climb(self.top, fails_after=self.fails_after)
        state.accept(generated)
        return state

    @property
    def is_complete(self) -> bool:
        return self.last >= self.top

    def allowed(self) -> Mask:
        if self.count == self.fails_after:
            raise SchemaUnsupported(reason="it grew too complex")
        mask = np.zeros(320, dtype=np.bool_)
        mask[self.last + 1 : self.last + 6] = True
        mask[1::2] = False
        return mask

    def settle(self, token_id: int, left: int) -> int:
        """In a hurry, the highest step, which is 4 from an even token."""
        return self.last + 5 - (self.last + 1) % 2 if 4 * (left - 1) <= self.top - self.last else token_id

    def accept(self, token_ids: Sequence[int]) -> None:
        for token_id in token_ids:
            assert token_id in range(self.last + 1, self.last + 6)
            assert token_id % 2 == 0
            self.last, self.count = token_id, self.count + 1


class EngineContract:
    """Subclasses give the fixture `engine`: SLOTS slots, CONTEXT_LENGTH, no stop ids, at least 50 token ids."""

    async def test_an_answer_has_as_many_tokens_as_were_asked_for(self, engine: Engine) -> None:
        events = await events_of(engine, request(max_new_tokens=5))

        assert len(tokens(events)) == 5
        assert [event.finish_reason for event in events] == [None] * 4 + ["length"]

    async def test_without_eyes_a_picture_is_refused_and_the_others_go_on(self, engine: Engine) -> None:
        picture = Picture("a picture", np.zeros((3, 2, 2), np.float32))

        refused, answered = await asyncio.gather(
            events_of(engine, request("shows", pictures=(picture,))), events_of(engine, request("asks"))
        )

        assert isinstance(refused[-1].error, PicturesUnsupported)
        assert len(tokens(answered)) == 8

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

    @pytest.mark.parametrize("asked", [{"top_k": 1}, {"min_p": 1.0}, {"top_p": 1e-6}])
    async def test_where_only_the_likeliest_may_be_drawn_it_is(self, engine: Engine, asked: dict[str, object]) -> None:
        greedy = tokens(await events_of(engine, request()))

        drawn = replace(request(temperature=2.0), **asked)  # type: ignore[arg-type]  # names
        assert tokens(await events_of(engine, drawn)) == greedy

    @pytest.mark.parametrize(
        "asked",
        [
            {"top_k": 7},
            {"min_p": 0.2},
            {"top_k": 40, "top_p": 0.9, "min_p": 0.05},
            {"repetition_penalty": 1.8},
            {"repetition_penalty": 1.3, "frequency_penalty": 0.5, "min_p": 0.1},
        ],
    )
    async def test_a_drawn_answer_continues_with_the_same_tokens(
        self, engine: Engine, asked: dict[str, object]
    ) -> None:
        drawn = replace(request(temperature=1.0, max_new_tokens=12), **asked)  # type: ignore[arg-type]  # names
        whole = tokens(await events_of(engine, drawn))

        rests = [replace(drawn, id=f"r{cut}", generated=tuple(whole[:cut])) for cut in range(len(whole))]
        for cut, events in enumerate(await asyncio.gather(*(events_of(engine, rest) for rest in rests))):
            assert tokens(events) == whole[cut:]

    @pytest.mark.parametrize(
        "asked",
        [
            {"frequency_penalty": 1.5, "presence_penalty": 0.5},
            {"grammar": Climb(40)},
            {"grammar": Climb(40), "frequency_penalty": -2.0},
        ],
    )
    async def test_a_steered_answer_continues_with_the_same_tokens(
        self, engine: Engine, asked: dict[str, object]
    ) -> None:
        steered = replace(request(temperature=1.0, max_new_tokens=30), **asked)  # type: ignore[arg-type]  # names
        whole = await events_of(engine, steered)

        for cut in range(len(whole)):
            rest = await events_of(engine, replace(steered, generated=tuple(tokens(whole)[:cut])))
            assert tokens(rest) == tokens(whole)[cut:]
            assert rest[-1].finish_reason == whole[-1].finish_reason

    async def test_an_answer_keeps_to_its_grammar_and_ends_with_it(self, engine: Engine) -> None:
        steered = [request(f"g{n}", temperature=1.0, max_new_tokens=30, seed=n, grammar=Climb(40)) for n in range(5)]

        answers = await asyncio.gather(*(events_of(engine, each) for each in (*steered, request("free"))))

        for events in answers[:-1]:
            assert Climb(40).begin(tokens(events)).is_complete
            assert events[-1].finish_reason == "stop"
            assert events[-1].token_id is not None
        assert tokens(answers[-1]) == tokens(await events_of(engine, request("free")))

    async def test_an_answer_is_led_to_the_end_of_its_grammar_where_its_tokens_run_out(self, engine: Engine) -> None:
        for seed in range(5):
            events = await events_of(engine, request(temperature=1.0, seed=seed, max_new_tokens=8, grammar=Climb(40)))

            assert events[-1].finish_reason == "stop"

    async def test_an_answer_whose_grammar_was_complete_ends_without_a_token(self, engine: Engine) -> None:
        complete = request(generated=(12, 16, 20), grammar=Climb(20))

        assert await events_of(engine, complete) == [TokenEvent(None, "stop")]

    async def test_the_length_may_cut_a_grammar(self, engine: Engine) -> None:
        events = await events_of(engine, request(grammar=Climb(300), max_new_tokens=4))

        assert [event.finish_reason for event in events] == [None, None, None, "length"]

    async def test_a_grammar_that_fails_ends_its_own_request(self, engine: Engine) -> None:
        good = asyncio.create_task(events_of(engine, request("good")))

        events = await events_of(engine, request("bad", grammar=Climb(300, fails_after=2)))

        assert len(tokens(events)) == 2
        assert isinstance(events[-1].error, SchemaUnsupported)
        assert len(tokens(await good)) == 8

    async def test_logprobs_come_with_every_token_if_they_were_asked_for(self, engine: Engine) -> None:
        with_five, with_none, without = await asyncio.gather(
            events_of(engine, request("five", logprobs=5, temperature=1.0)),
            events_of(engine, request("none", logprobs=0, temperature=1.0)),
            events_of(engine, request("without", temperature=1.0)),
        )

        assert tokens(with_five) == tokens(with_none) == tokens(without)
        assert all(event.logprobs is None for event in without)
        for five, none in zip(with_five, with_none, strict=True):
            assert five.logprobs is not None
            assert none.logprobs is not None
            assert none.logprobs.top == ()
            assert none.logprobs.chosen == pytest.approx(five.logprobs.chosen, abs=1e-4)
            values = [value for _, value in five.logprobs.top]
            assert 1 <= len(values) <= 5
            assert values == sorted(values, reverse=True)
            assert five.logprobs.chosen <= values[0] <= 0

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
            {"min_p": -0.1},
            {"min_p": 1.1},
            {"repetition_penalty": 0.0},
            {"repetition_penalty": float("inf")},
            {"frequency_penalty": float("nan")},
            {"presence_penalty": float("inf")},
            {"logprobs": 21},
            {"logprobs": -1},
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

    @pytest.fixture
    def closing_engine(self, engine: Engine) -> Engine:
        """One that a test may close."""
        return engine

    async def test_closing_the_engine_ends_running_requests_as_cancelled(self, closing_engine: Engine) -> None:
        engine = closing_engine
        running = asyncio.create_task(events_of(engine, request(max_new_tokens=60)))
        await asyncio.sleep(0)

        await engine.close()

        assert (await running)[-1].finish_reason == "cancelled"
        assert (await events_of(engine, request("late")))[-1].finish_reason == "cancelled"

    async def test_draining_ends_when_the_last_request_has(self, closing_engine: Engine) -> None:
        engine = closing_engine
        running = [
            asyncio.create_task(events_of(engine, request(f"r{n}", max_new_tokens=20))) for n in range(2 * SLOTS)
        ]
        await asyncio.sleep(0)

        async with asyncio.timeout(20):
            await engine.drain()
        late = await events_of(engine, request("late"))

        assert all(len(tokens(events)) == 20 for events in await asyncio.gather(*running))
        assert [event.finish_reason for event in late] == ["cancelled"]

    async def test_an_adapter_nobody_loaded_fails_its_request_alone(self, engine: Engine) -> None:
        good, failed = await asyncio.gather(
            events_of(engine, request("good")), events_of(engine, request("bad", adapter="nobody"))
        )

        assert len(tokens(good)) == 8
        assert (len(failed), failed[0].finish_reason) == (1, "error")
        with pytest.raises(AdapterUnknown):
            await engine.unload_adapter("nobody")

    async def test_a_directory_that_is_no_adapter_is_refused(self, engine: Engine, tmp_path: Path) -> None:
        with pytest.raises(AdapterRefused):
            await engine.load_adapter("broken", tmp_path)

        assert engine.adapters() == ()
        assert len(tokens(await events_of(engine, request()))) == 8

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
