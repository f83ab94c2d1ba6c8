"""The engine alone, without web, broker or store: `python -m tests.bench.alone MODEL MAX_NEW_TOKENS`.

Each line on standard input is a list of questions as JSON, which are answered at once. For each line one is told on
standard output what site.AloneRound holds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import aclosing

import uvloop

from shared.chat import Message, Role, SamplingParams
from shared.prompting import prompt_ids
from shared.settings import WorkerSettings
from tests.bench.processes import Spent, busiest, spent_by_threads
from workers.engine.base import Request
from workers.open_model import open_model
from workers.served_model import ServedModel


def _engine_spent() -> Spent:
    spent = spent_by_threads(os.getpid())
    return spent[busiest(spent, but=os.getpid())]


async def _answer(model: ServedModel, name: str, question: str) -> tuple[int, float]:
    """Tokens, and seconds to the first one."""
    begun, first, tokens = time.perf_counter(), 0.0, 0
    sampling = model.sampling.resolve(SamplingParams())
    limit = sampling.max_new_tokens
    prompt = tuple(prompt_ids([Message(Role.USER, question)], model.tokenizer))
    request = Request(
        id=name,
        prompt=prompt,
        generated=(),
        seed=hash(question),
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_new_tokens=limit,
    )
    async with aclosing(model.engine.submit(request)) as events:
        async for event in events:
            if event.error:
                raise event.error
            first = first or time.perf_counter() - begun
            tokens += event.token_id is not None
    return tokens, first


async def _serve(source: str, most: int) -> None:
    model = open_model(source, "bench", WorkerSettings(threads=1, max_new_tokens=most))
    await _answer(model, "warm-up", "안녕?")
    number = 0
    while line := await asyncio.to_thread(sys.stdin.readline):
        questions, number = json.loads(line), number + 1
        begun, before = time.perf_counter(), _engine_spent()
        answers = [_answer(model, f"{number}.{place}", question) for place, question in enumerate(questions)]
        told = await asyncio.gather(*answers)
        seconds, spent = time.perf_counter() - begun, _engine_spent().since(before)
        measured = {
            "seconds": seconds,
            "tokens": sum(tokens for tokens, _ in told),
            "engine_cpu_s": spent.cpu,
            "engine_waited_s": spent.waited,
            "first_token_s": [first for _, first in told],
        }
        print(json.dumps(measured), flush=True)
    await model.engine.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as _runner:
        _runner.run(_serve(sys.argv[1], int(sys.argv[2])))
