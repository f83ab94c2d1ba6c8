"""A repetition penalty in the engine is `generate`'s: the same greedy tokens, in a batch with others."""

from __future__ import annotations

import asyncio

from tests.engine_runs import events_of, serving, tokens_of
from tests.greedy import greedy
from tests.tiny_models import CONTEXT_LENGTH, END, VOCABULARY, tiny_model
from workers.engine.base import Request
from workers.engine.facts import ModelFacts
from workers.engine.model_runner import ModelRunner

PROMPT = (9, 40, 41, 42, 40, 300)
LENGTH = 40


async def test_penalised_greedy_tokens_are_those_of_generate() -> None:
    facts = ModelFacts("tiny", VOCABULARY, CONTEXT_LENGTH, frozenset({END}))
    penalties = (1.0, 1.2, 1.9, 0.7)

    async with serving(ModelRunner(tiny_model()), facts, slots=4, prefill_chunk=8) as engine:
        asked = [
            Request(str(penalty), PROMPT, (), 0, 0.0, 1.0, 0, LENGTH, repetition_penalty=penalty)
            for penalty in penalties
        ]
        answers = [tokens_of(events) for events in await asyncio.gather(*(events_of(engine, each) for each in asked))]

    for penalty, tokens in zip(penalties, answers, strict=True):
        assert tokens == greedy(tiny_model(), list(PROMPT), LENGTH, repetition_penalty=penalty)
    assert len({tuple(tokens) for tokens in answers}) == len(penalties)  # each changed something
