"""The batch engine against `generate`: the same greedy tokens, whoever joins, leaves or reads in pieces beside them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tests.engine_runs import events_of, serving, tokens_of
from tests.greedy import assert_greedy
from tests.tiny_models import CONTEXT_LENGTH, END, FAMILIES, VOCABULARY, tiny_model
from workers.engine import paged_attention
from workers.engine.base import Request
from workers.engine.facts import ModelFacts
from workers.engine.faster_modules import replace_modules
from workers.engine.model_runner import ModelRunner
from workers.engine.transformers_engine import TransformersEngine


def ask(name: str, prompt: list[int], max_new_tokens: int = 24, generated: tuple[int, ...] = ()) -> Request:
    return Request(name, tuple(prompt), generated, 0, 0.0, 1.0, 0, max_new_tokens)


def engine_for(
    family: str, slots: int = 4, chunk: int = 7, blocks: int = 128
) -> AbstractAsyncContextManager[TransformersEngine]:
    facts = ModelFacts("tiny", VOCABULARY, min(CONTEXT_LENGTH, 32 * blocks), frozenset({END}))
    runner = ModelRunner(tiny_model(family), blocks)
    replace_modules(runner)
    return serving(runner, facts, slots=slots, prefill_chunk=chunk)


async def run(
    engine: TransformersEngine, request: Request, on_event: Callable[[int], None] = lambda count: None
) -> list[int]:
    return tokens_of(await events_of(engine, request, on_event))


def prompts(count: int) -> list[list[int]]:
    chance = random.Random(11)
    return [[chance.randrange(5, VOCABULARY) for _ in range(chance.randrange(1, 40))] for _ in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
async def test_one_request_alone_gives_what_generate_gives(family: str) -> None:
    oracle = tiny_model(family)

    async with engine_for(family) as engine:
        for prompt in prompts(4):
            assert_greedy(oracle, prompt, await run(engine, ask("alone", prompt)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("is_compiled", [True, False], ids=["compiled", "plain"])
async def test_requests_that_join_and_leave_give_what_generate_gives(
    family: str, is_compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten prompts, four slots, pieces of 7: they are read beside others that decode. In plain operations, as on a GPU,
    as with those that are compiled for a CPU."""
    monkeypatch.setattr(paged_attention, "_is_compiled_for", lambda tensor: is_compiled)
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
async def test_a_long_answer_stays_exact(family: str) -> None:
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


@pytest.mark.parametrize("family", ["Llama", "GPTNeoX", "Qwen3", "Gemma3"])
async def test_what_a_conversation_has_computed_serves_its_next_turn(family: str) -> None:
    oracle = tiny_model(family)
    system, (first, second, other) = list(range(5, 85)), [[chance] * 9 for chance in (90, 91, 92)]

    async with engine_for(family, chunk=64) as engine:
        answer = await run(engine, ask("first", [*system, *first]))
        turn = [*system, *first, *answer, *second]
        next_answer, others_answer = await asyncio.gather(
            run(engine, ask("next turn", turn)), run(engine, ask("somebody else", [*system, *other]))
        )
        shared = engine._thread._scheduler.shared_tokens

    assert shared >= len(turn) // 32 * 32 - 32 + 64  # two blocks of the system's, and nearly all of the turn before
    assert_greedy(oracle, [*system, *first], answer)
    assert_greedy(oracle, turn, next_answer)
    assert_greedy(oracle, [*system, *other], others_answer)


@pytest.mark.parametrize("family", ["Llama", "GPTNeoX", "Qwen3", "Gemma3"])
@pytest.mark.parametrize("seed", range(2))
async def test_random_schedules_in_too_little_memory_stay_exact(family: str, seed: int) -> None:
    """Arrivals that begin alike, cancelled neighbours, resumed answers; memory for two of the longest, so answers are
    interrupted and computed again."""
    oracle, chance = tiny_model(family), random.Random(seed)
    stems = [[chance.randrange(5, VOCABULARY) for _ in range(70)] for _ in range(2)]
    asked = []
    for number in range(9):
        prompt = [*chance.choice(stems)[: chance.randrange(1, 71)], *([chance.randrange(5, VOCABULARY)] * (number % 3))]
        asked.append((f"{number}", prompt, chance.randrange(40, 120)))

    async with engine_for(family, slots=5, chunk=chance.choice([3, 16, 200]), blocks=6) as engine:

        async def answer(name: str, prompt: list[int], length: int, cut: int, is_cancelled: bool) -> list[int]:
            on_token: Callable[[int], None] = lambda count: engine.cancel(name) if is_cancelled and count == 3 else None  # noqa: E731
            begun = await run(engine, ask(name, prompt, cut), on_token)
            if is_cancelled or len(begun) < cut:
                return begun
            return [*begun, *await run(engine, ask(name, prompt, length, tuple(begun)))]

        cuts = [chance.randrange(1, length) for _, _, length in asked]
        answers = await asyncio.gather(
            *(
                answer(name, prompt, length, cut, name in ("3", "7"))
                for (name, prompt, length), cut in zip(asked, cuts, strict=True)
            )
        )
        preemptions = engine._thread._scheduler.preemptions

    assert preemptions > 0
    for (name, prompt, length), tokens in zip(asked, answers, strict=True):
        if name not in ("3", "7"):
            assert_greedy(oracle, prompt, tokens, length)
