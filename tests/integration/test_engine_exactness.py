"""The batch engine against `generate`: the same greedy tokens, whoever joins, leaves or reads in pieces beside them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from tests.tiny_models import CONTEXT_LENGTH, END, FAMILIES, VOCABULARY, tiny_model
from workers.engine.base import Request
from workers.engine.facts import ModelFacts
from workers.engine.model_runner import ModelRunner
from workers.engine.transformers_engine import TransformersEngine

CLOSE_CALL = 1e-4  # two logits this near may change places when sums are formed in another order


def ask(name: str, prompt: list[int], max_new_tokens: int = 24, generated: tuple[int, ...] = ()) -> Request:
    return Request(name, tuple(prompt), generated, 0, 0.0, 1.0, 0, max_new_tokens)


@asynccontextmanager
async def engine_for(family: str, slots: int = 4, chunk: int = 7) -> AsyncIterator[TransformersEngine]:
    facts = ModelFacts("tiny", VOCABULARY, CONTEXT_LENGTH, frozenset({END}))
    engine = TransformersEngine(ModelRunner(tiny_model(family)), facts, slots=slots, prefill_chunk=chunk)
    try:
        yield engine
    finally:
        await engine.close()


async def run(
    engine: TransformersEngine, request: Request, on_token: Callable[[int], None] = lambda n: None
) -> list[int]:
    tokens: list[int] = []
    async with asyncio.timeout(60), aclosing(engine.submit(request)) as events:
        async for event in events:
            assert event.error is None
            if event.token_id is not None:
                tokens.append(event.token_id)
                on_token(len(tokens))
    return tokens


def prompts(count: int) -> list[list[int]]:
    chance = random.Random(11)
    return [[chance.randrange(5, VOCABULARY) for _ in range(chance.randrange(1, 40))] for _ in range(count)]


@torch.inference_mode()
def assert_greedy(model: PreTrainedModel, prompt: list[int], tokens: list[int], max_new_tokens: int = 24) -> None:
    """`tokens` are what `generate` gives; a first difference is allowed only at a close call."""
    generate: Any = model.generate
    output = generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=END,
        pad_token_id=0,
    )
    expected = output[0, len(prompt) :].tolist()
    if tokens == expected:
        return
    first = next(place for place in range(len(expected)) if tokens[place : place + 1] != expected[place : place + 1])
    logits = model(torch.tensor([[*prompt, *expected[:first]]])).logits[0, -1]
    best, second = logits.topk(2).values.tolist()
    assert best - second < CLOSE_CALL, f"differs at token {first}: {tokens} instead of {expected}"


@pytest.mark.parametrize("family", FAMILIES)
async def test_one_request_alone_gives_what_generate_gives(family: str) -> None:
    oracle = tiny_model(family)

    async with engine_for(family) as engine:
        for prompt in prompts(4):
            assert_greedy(oracle, prompt, await run(engine, ask("alone", prompt)))


@pytest.mark.parametrize("family", FAMILIES)
async def test_requests_that_join_and_leave_give_what_generate_gives(family: str) -> None:
    """Ten prompts, four rows, chunks of 7: rows move, grow, prefill beside decoding ones, and are reused."""
    oracle = tiny_model(family)
    asked = prompts(10)
    lengths = [4 + 5 * (number % 5) for number in range(len(asked))]

    async with engine_for(family) as engine, asyncio.TaskGroup() as tasks:
        begun = asyncio.Event()
        first = tasks.create_task(run(engine, ask("0", asked[0], 60), lambda count: begun.set() if count > 5 else None))
        first.add_done_callback(lambda task: begun.set())
        await begun.wait()  # the others join in its middle
        rest = [
            tasks.create_task(run(engine, ask(str(number), asked[number], lengths[number])))
            for number in range(1, len(asked))
        ]
        answers = [await first, *[await task for task in rest]]

    for prompt, length, tokens in zip(asked, [60, *lengths[1:]], answers, strict=True):
        assert_greedy(oracle, prompt, tokens, length)


@pytest.mark.parametrize("family", ["Llama", "Gemma3"])
async def test_a_cancelled_neighbour_changes_nothing(family: str) -> None:
    oracle = tiny_model(family)
    asked = prompts(4)

    async with engine_for(family) as engine:

        def cancel_at(name: str, place: int) -> Callable[[int], None]:
            return lambda count: engine.cancel(name) if count == place else None

        answers = await asyncio.gather(
            run(engine, ask("0", asked[0], 100), cancel_at("0", 3)),
            run(engine, ask("1", asked[1], 40)),
            run(engine, ask("2", asked[2], 100), cancel_at("2", 9)),
            run(engine, ask("3", asked[3], 40)),
        )

    for number in (1, 3):
        assert_greedy(oracle, asked[number], answers[number], 40)


@pytest.mark.parametrize("family", ["Llama", "GPTNeoX", "Gemma2"])
async def test_a_long_answer_outgrows_the_first_cache_and_stays_exact(family: str) -> None:
    oracle = tiny_model(family)
    prompt = prompts(1)[0]

    async with engine_for(family) as engine:
        answers = await asyncio.gather(
            run(engine, ask("long", prompt, 300)), *(run(engine, ask(str(n), prompt, 10)) for n in range(5))
        )

    assert_greedy(oracle, prompt, answers[0], 300)
    for tokens in answers[1:]:
        assert_greedy(oracle, prompt, tokens, 10)


async def test_a_resumed_answer_gives_what_generate_gives() -> None:
    oracle = tiny_model()
    prompt = prompts(1)[0]

    async with engine_for("Llama") as engine:
        whole = await run(engine, ask("whole", prompt))
        for cut in range(len(whole)):
            rest = await run(engine, ask("rest", prompt, 24, tuple(whole[:cut])))
            assert_greedy(oracle, prompt, [*whole[:cut], *rest])
