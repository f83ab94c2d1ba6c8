"""Adapters in the batch engine: each request gets what `generate` gives with its adapter merged into the weights."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from shared.errors import AdapterRefused, AdapterUnknown
from tests.engine_runs import events_of, serving, tokens_of
from tests.greedy import greedy
from tests.tiny_adapters import BASE_DIGEST, merge, save_tiny_adapter
from tests.tiny_models import CONTEXT_LENGTH, END, VOCABULARY, tiny_model
from workers.engine.base import Request
from workers.engine.facts import ModelFacts
from workers.engine.faster_modules import replace_modules
from workers.engine.model_runner import ModelRunner
from workers.engine.transformers_engine import TransformersEngine

TARGETS = {
    "Llama": ["q_proj", "v_proj", "down_proj"],
    "GPTNeoX": ["query_key_value", "dense_h_to_4h"],
    "Qwen3": ["q_proj", "k_proj", "gate_proj"],
}
PROMPT = list(range(5, 75))  # long enough for shared blocks


def engine_for(family: str, blocks: int = 128) -> AbstractAsyncContextManager[TransformersEngine]:
    facts = ModelFacts(BASE_DIGEST, VOCABULARY, min(CONTEXT_LENGTH, 32 * blocks), frozenset({END}))
    runner = ModelRunner(tiny_model(family), blocks)
    replace_modules(runner)
    return serving(runner, facts, slots=6, prefill_chunk=40)


def ask(name: str, adapter: str | None, prompt: list[int] = PROMPT, length: int = 24) -> Request:
    return Request(name, tuple(prompt), (), 0, 0.0, 1.0, 0, length, adapter=adapter)


@pytest.mark.parametrize("family", TARGETS)
@pytest.mark.parametrize("blocks", [128, 12], ids=["room", "too little memory"])
async def test_a_mixed_batch_gives_each_its_own_adapter(family: str, blocks: int, tmp_path: Path) -> None:
    base = tiny_model(family)
    lora = save_tiny_adapter(tmp_path / "lora", base, TARGETS[family], seed=1)
    dora = save_tiny_adapter(tmp_path / "dora", base, TARGETS[family], seed=2, use_dora=True)
    wide = save_tiny_adapter(tmp_path / "wide", base, TARGETS[family][-1:], seed=3, rank=12)
    merged = {each.name: merge(tiny_model(family), each) for each in (lora, dora, wide)}
    expected = {name: greedy(model, PROMPT, 24) for name, model in {"": base, **merged}.items()}

    async with engine_for(family, blocks) as engine:
        for directory in (lora, dora, wide):
            await engine.load_adapter(directory.name, directory)
        asked = [name for name in ("lora", "", "dora", "wide") for _ in range(2)]
        answers = await asyncio.gather(
            *(events_of(engine, ask(f"{number}", name or None)) for number, name in enumerate(asked))
        )
        again = await asyncio.gather(*(events_of(engine, ask(name, name or None)) for name in expected))
        shared = engine.stats().shared_tokens

    assert len({tuple(answer) for answer in expected.values()}) == 4  # or nothing would be proven
    assert [tokens_of(events) for events in answers] == [expected[name] for name in asked]
    assert [tokens_of(events) for events in again] == list(expected.values())
    assert shared > 0


async def test_a_request_ends_with_the_version_it_began_with(tmp_path: Path) -> None:
    base = tiny_model()
    old = save_tiny_adapter(tmp_path / "old", base, TARGETS["Llama"], seed=1)
    new = save_tiny_adapter(tmp_path / "new", base, TARGETS["Llama"], seed=2)
    expected = [greedy(merge(tiny_model(), directory), PROMPT, 120) for directory in (old, new)]

    async with engine_for("Llama") as engine:
        await engine.load_adapter("tutor", old)
        begun = asyncio.Event()
        first = asyncio.create_task(events_of(engine, ask("first", "tutor", length=120), lambda count: begun.set()))
        async with asyncio.timeout(20):
            await begun.wait()
        facts = await engine.load_adapter("tutor", new)
        second = await events_of(engine, ask("second", "tutor", length=120))
        await engine.unload_adapter("tutor")
        third = await events_of(engine, ask("third", "tutor"))

        assert [tokens_of(await first), tokens_of(second)] == expected
        assert isinstance(third[-1].error, AdapterUnknown)
        assert (facts.name, facts.rank, engine.adapters()) == ("tutor", 4, ())
        assert engine._thread._served.facts() == ()


async def test_a_refused_adapter_leaves_the_older_one_in_place(tmp_path: Path) -> None:
    good = save_tiny_adapter(tmp_path / "good", tiny_model(), TARGETS["Llama"], seed=1)
    other = save_tiny_adapter(tmp_path / "other", tiny_model(), TARGETS["Llama"], base_digest="f00d" * 16)
    quantised = save_tiny_adapter(tmp_path / "nf4", tiny_model(), TARGETS["Llama"], numerics="nf4")

    async with engine_for("Llama") as engine:
        await engine.load_adapter("tutor", good)
        for directory, code in ((other, "adapter_base_other"), (quantised, "adapter_numerics_other")):
            with pytest.raises(AdapterRefused) as refusal:
                await engine.load_adapter("tutor", directory)
            assert (refusal.value.code, refusal.value.facts["adapter"]) == (code, "tutor")
        answer = await events_of(engine, ask("a", "tutor"))

    assert tokens_of(answer) == greedy(merge(tiny_model(), good), PROMPT, 24)
