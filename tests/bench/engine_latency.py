"""What one answer feels of the others, and of what was said before: adapters side by side, second turns, long prompts.

All of it is our engine alone: these figures compare it with itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.engine_models import random_adapter, random_prompts
from tests.bench.engine_report import Sample, disturbance, over
from tests.bench.engine_throughput import Bench
from tests.bench.engine_ways import Answer, OurWay, running

ADAPTERS = 4
HISTORY = 1000  # tokens of the first turn, question and answer
_FIRST_ANSWER, _SECOND_QUESTION = 32, 32
LONG_PROMPT = 2000
_SHORT_PROMPT = 64
_BEFORE, _AFTER = 40, 8  # tokens of every running answer before the long prompt comes, and after it has begun
_WITHIN_S = 300


async def mixed_adapters(bench: Bench, way: OurWay, model: Path, *, rounds: int, new: int) -> dict[str, Any]:
    """Tokens a second of a batch whose rows take four adapters in turn, over those of a batch with none."""
    names = [f"random-{number}" for number in range(ADAPTERS)]
    with running(way.engine.pid):
        for number, name in enumerate(names):
            directory = bench.directory / name
            await way.engine.load_adapter(
                name, random_adapter(directory, model, way.engine.model_digest, bench.seed + number)
            )
    told: dict[str, Any] = {"rank": 16, "adapters": ADAPTERS, "batches": {}}
    for batch in (16, 64):
        chance = random.Random(f"{bench.seed} adapters {batch}")
        mixed: list[Sample] = []
        none: list[Sample] = []
        await way.answer_with(random_prompts(batch, _SHORT_PROMPT, chance), 4, names)
        for round_ in range(rounds):
            kinds: list[tuple[list[Sample], list[str | None]]] = [(mixed, [*names]), (none, [None])]
            for samples, adapters in kinds if round_ % 2 else reversed(kinds):
                prompts = random_prompts(batch, _SHORT_PROMPT, chance)
                samples.append((await way.answer_with(prompts, new, adapters))[0])
        told["batches"][str(batch)] = {
            "mixed_over_none": over(mixed, none),
            "by_cpu": over(mixed, none, by_cpu=True),
            "mixed": [asdict(sample) for sample in mixed],
            "none": [asdict(sample) for sample in none],
        }
    return {"mixed_adapters_4_over_none": told["batches"]["64"]["mixed_over_none"]} | told


async def warm_turns(bench: Bench, way: OurWay, *, rounds: int) -> dict[str, Any]:
    """Seconds to the first token of a second turn, over those of a prompt of the same length that was never seen."""
    chance = random.Random(f"{bench.seed} turns")
    turns: list[dict[str, float]] = []
    with running(way.engine.pid):
        for _ in range(rounds):
            (history,) = random_prompts(1, HISTORY - _FIRST_ANSWER, chance)
            _, first = await _first_token_s(way, history, _FIRST_ANSWER)
            (question,) = random_prompts(1, _SECOND_QUESTION, chance)
            warm, _ = await _first_token_s(way, [*history, *first, *question], 1)
            (unseen,) = random_prompts(1, HISTORY + _SECOND_QUESTION, chance)
            cold, _ = await _first_token_s(way, unseen, 1)
            turns.append({"warm_s": warm, "cold_s": cold})
    turns = turns[1:]  # the first one warms the engine up
    ratio = statistics.median(turn["warm_s"] / turn["cold_s"] for turn in turns)
    return {"warm_ttft_over_cold": ratio, "history": HISTORY, "question": _SECOND_QUESTION, "turns": turns}


async def _first_token_s(way: OurWay, prompt: list[int], new: int) -> tuple[float, list[int]]:
    begun = time.perf_counter()
    answer = await way.one(prompt, new, Answer())
    return answer.moments[0] - begun, answer.tokens


async def long_prompt(bench: Bench, way: OurWay, *, rounds: int, beside: Sequence[int]) -> dict[str, Any]:
    """The longest gap between two tokens of a running answer while a long prompt is read, over the median before.

    `beside`: how many answers run; the figure is that of 16.
    """
    told: dict[str, Any] = {"long_prompt": LONG_PROMPT, "answers_beside": {}}
    for count in beside:
        chance = random.Random(f"{bench.seed} long {count}")
        found = []
        for _ in range(rounds + 1):
            measured, first_s = await _beside(way, count, chance)
            found.append(asdict(measured) | {"ratio": measured.ratio, "long_ttft_s": first_s})
        found = found[1:]
        ratio = statistics.median(round_["ratio"] for round_ in found)
        told["answers_beside"][str(count)] = {"worst_over_normal": ratio, "rounds": found}
    return {"tbt_during_prefill_over_normal": told["answers_beside"]["16"]["worst_over_normal"]} | told


async def _beside(way: OurWay, count: int, chance: random.Random) -> tuple[Any, float]:
    prompts = random_prompts(count, _SHORT_PROMPT, chance)
    (long,) = random_prompts(1, LONG_PROMPT, chance)
    with running(way.engine.pid):
        async with asyncio.timeout(_WITHIN_S), writing(way, prompts) as answers:
            started = max([await has(answer, 1) for answer in answers])
            for answer in answers:
                await has(answer, len(answer.tokens) + _BEFORE)
            begun = time.perf_counter()
            first = (await way.one(long, 1, Answer())).moments[0]
            for answer in answers:
                await has(answer, len(answer.tokens) + _AFTER)
    arrivals = [[moment for moment in answer.moments if moment >= started] for answer in answers]
    return disturbance(arrivals, begun, first), first - begun


@contextlib.asynccontextmanager
async def writing(way: OurWay, prompts: list[list[int]]) -> AsyncIterator[list[Answer]]:
    """Answers that are being written, much longer than anybody waits for; they are cancelled in the end."""
    answers = [Answer() for _ in prompts]
    most = way.engine.context_length
    tasks = [
        asyncio.create_task(way.one(*pair)) for pair in [(p, most, a) for p, a in zip(prompts, answers, strict=True)]
    ]
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def has(answer: Answer, tokens: int) -> float:
    """Wait until it has so many tokens. Returns when the last of these came. Raises RuntimeError if it ends before."""
    while len(answer.tokens) < tokens:
        if answer.is_over:
            raise RuntimeError("a running answer has ended")
        answer.arrived.clear()
        await answer.arrived.wait()
    return answer.moments[tokens - 1]
