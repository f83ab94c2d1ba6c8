"""A request that breaks the model breaks nobody else's answer, and never the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import torch

from shared.errors import EngineLost, GenerationCrashed
from tests.engine_runs import events_of, serving
from tests.tiny_models import CONTEXT_LENGTH, VOCABULARY, tiny_model
from workers.engine import drawing, sampling
from workers.engine.base import Request
from workers.engine.facts import ModelFacts
from workers.engine.model_runner import ModelRunner
from workers.engine.transformers_engine import TransformersEngine

POISON = 300  # a token id the broken model cannot read
SPREADING = 301  # one that turns its row into NaN


class Broken:
    """Put before a model: raises where a pass holds POISON, and spoils what follows SPREADING."""

    def __init__(self) -> None:
        self.is_everything_broken = False
        self.most_tokens = 10_000  # a pass with more of them runs out of memory

    def before(self, module: torch.nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        if self.is_everything_broken or (options["input_ids"] == POISON).any():
            raise RuntimeError("boom")
        if options["input_ids"].shape[1] > self.most_tokens:
            raise torch.OutOfMemoryError

    def after(self, module: torch.nn.Module, arguments: tuple[Any, ...], options: dict[str, Any], output: Any) -> None:
        spoiled = options["input_ids"][0, options["logits_to_keep"]] == SPREADING
        output.logits[0, spoiled] = float("nan")


@pytest.fixture
def broken() -> Broken:
    return Broken()


@pytest.fixture
async def engine(broken: Broken) -> AsyncIterator[TransformersEngine]:
    model = tiny_model()
    model.register_forward_pre_hook(broken.before, with_kwargs=True)
    model.register_forward_hook(broken.after, with_kwargs=True)
    facts = ModelFacts("tiny", VOCABULARY, CONTEXT_LENGTH, frozenset())
    async with serving(ModelRunner(model), facts, slots=4, prefill_chunk=8) as engine:
        yield engine


def ask(name: str, *prompt: int, generated: tuple[int, ...] = (), max_new_tokens: int = 12) -> Request:
    return Request(name, prompt, generated, 0, 0.0, 1.0, 0, max_new_tokens)


def make_it_choose(token: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third token of the request with seed 99 is `token`, so that the next decode pass reads it."""
    real = sampling.choose

    def choose(logits: torch.Tensor, draws: Any) -> list[int | None]:
        return [
            token if draw.seed == 99 and draw.index == 2 else chosen
            for draw, chosen in zip(draws, real(logits, draws), strict=True)
        ]

    monkeypatch.setattr(drawing, "choose", choose)


@pytest.mark.parametrize("bad", [POISON, SPREADING])
async def test_a_prompt_that_breaks_the_model_fails_alone(engine: TransformersEngine, bad: int) -> None:
    alone = await events_of(engine, ask("good", 5, 6))

    good, failed = await asyncio.gather(
        events_of(engine, ask("good", 5, 6)),
        events_of(engine, ask("bad", 5, bad, 7) if bad == POISON else ask("bad", bad)),
    )

    assert good == alone
    assert isinstance(failed[-1].error, GenerationCrashed)


@pytest.mark.parametrize("bad", [POISON, SPREADING])
async def test_a_row_that_breaks_a_decode_pass_fails_alone(
    engine: TransformersEngine, bad: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [ask(name, 5 + number, 6) for number, name in enumerate("abc")]
    alone = [await events_of(engine, request) for request in good]
    culprit = Request("bad", (9, 9), (), 99, 0.0, 1.0, 0, 12)
    make_it_choose(bad, monkeypatch)

    *others, failed = await asyncio.gather(*(events_of(engine, request) for request in [*good, culprit]))

    assert others == alone
    assert [event.token_id for event in failed[:3]][-1] == bad
    assert isinstance(failed[-1].error, GenerationCrashed)
    assert len(failed) == 4


async def test_an_engine_whose_every_pass_fails_serves_again_when_it_can(
    engine: TransformersEngine, broken: Broken
) -> None:
    before = await events_of(engine, ask("a", 5, 6))
    broken.is_everything_broken = True

    during = await asyncio.gather(*(events_of(engine, ask(name, 5, 6)) for name in "bcdef"))
    broken.is_everything_broken = False

    assert all(isinstance(events[-1].error, GenerationCrashed) for events in during)
    assert await events_of(engine, ask("g", 5, 6)) == before


async def test_a_fault_of_our_own_ends_the_requests_it_may_have_damaged_and_no_more(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await events_of(engine, ask("a", 5, 6))
    with monkeypatch.context() as patched:
        patched.setattr(drawing, "choose", lambda logits, draws: 1 / 0)
        (failed,) = await asyncio.gather(events_of(engine, ask("b", 5, 6)))

    assert isinstance(failed[-1].error, GenerationCrashed)
    assert await events_of(engine, ask("c", 5, 6)) == before


async def test_a_thread_that_dies_is_noticed_and_its_requests_go_elsewhere(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asyncio.create_task(events_of(engine, ask("first", 5, 6, max_new_tokens=400)))
    await asyncio.sleep(0)
    monkeypatch.setattr(engine._thread, "_take_commands", lambda: 1 / 0)

    assert isinstance((await first)[-1].error, EngineLost)
    assert engine.lost.is_set()
    assert isinstance((await events_of(engine, ask("late", 5, 6)))[-1].error, EngineLost)


async def test_without_memory_for_all_some_wait_and_nobody_fails(engine: TransformersEngine, broken: Broken) -> None:
    asked = [ask(name, 5 + number, 6) for number, name in enumerate("abcd")]
    alone = [await events_of(engine, request) for request in asked]
    broken.most_tokens = 2

    assert await asyncio.gather(*(events_of(engine, request) for request in asked)) == alone


async def test_what_a_failed_request_computed_is_not_used_again(engine: TransformersEngine, broken: Broken) -> None:
    prompt = tuple(range(5, 75))
    good = await events_of(engine, ask("good", *prompt[:68]))

    failed = await events_of(engine, ask("bad", *prompt[:68], SPREADING))
    again = await events_of(engine, ask("again", *prompt[:68]))

    assert isinstance(failed[-1].error, GenerationCrashed)
    assert again == good
