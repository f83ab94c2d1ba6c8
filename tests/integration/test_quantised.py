"""Models in 4 and 8 bits: what the engine serves is what `generate` says of the same quantised weights."""

from __future__ import annotations

import asyncio
import importlib.util
import random
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bitsandbytes
import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from shared.errors import ConfigError
from shared.model_digest import served_digest
from tests.engine_runs import events_of, serving, tokens_of
from tests.greedy import assert_greedy
from tests.tiny_models import VOCABULARY, save_tiny_model, tiny_model, tiny_tokenizer
from vision.quantised import fit_to_cpu, quantisation
from workers.engine import numerics
from workers.engine.base import Request
from workers.engine.model_loader import LoadedModel, load
from workers.engine.transformers_engine import TransformersEngine

pytestmark = pytest.mark.timeout(120)

DTYPES = ("float32", "bfloat16", "nf4", "int8")
LENGTH = 20
ROUNDING = 0.02  # of the largest logit: sums in another order may round an activation to the next of 127 steps


@dataclass(frozen=True)
class Quantised:
    loaded: LoadedModel
    oracle: Any  # the same weights, quantised by transformers, for `generate`


@pytest.fixture(scope="module", params=[("nf4", "Llama"), ("nf4", "GPTNeoX"), ("int8", "Llama"), ("int8", "Qwen3")])
def quantised(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Quantised:
    kind, family = request.param
    directory = save_tiny_model(tmp_path_factory.mktemp(family), family)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numerics, "_cpu_has_bfloat16", lambda: False)  # what is not quantised stays in float32
        loaded = load(str(directory), device="cpu", dtype=kind, max_new_tokens=LENGTH)
    dtype = loaded.numerics.dtype
    assert dtype == torch.float32
    config_of: Any = BitsAndBytesConfig  # untyped
    if kind == "nf4":
        config = config_of(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    else:
        config = config_of(load_in_8bit=True, llm_int8_threshold=0.0)
    oracle = AutoModelForCausalLM.from_pretrained(directory, quantization_config=config, dtype=dtype, device_map="cpu")
    fit_to_cpu(oracle)  # it fails on shapes as small as these
    return Quantised(loaded, oracle)


def engine_of(loaded: LoadedModel) -> AbstractAsyncContextManager[TransformersEngine]:
    return serving(loaded.runner, loaded.facts, slots=3, prefill_chunk=7)


async def answered(engine: TransformersEngine, asked: Request) -> list[int]:
    return tokens_of(await events_of(engine, asked))


def prompts(count: int) -> list[list[int]]:
    chance = random.Random(3)
    return [[chance.randrange(5, VOCABULARY) for _ in range(chance.randrange(2, 30))] for _ in range(count)]


async def test_together_they_get_what_generate_gives(quantised: Quantised) -> None:
    asked = [Request(str(n), tuple(prompt), (), n, 0.0, 1.0, 0, LENGTH) for n, prompt in enumerate(prompts(8))]

    async with engine_of(quantised.loaded) as engine:
        answers = await asyncio.gather(*(answered(engine, each) for each in asked))

    same = [
        assert_greedy(quantised.oracle, list(each.prompt), tokens, LENGTH, rounding=ROUNDING)
        for each, tokens in zip(asked, answers, strict=True)
    ]
    assert sum(same) >= len(asked) - 1


def test_the_weights_are_small_and_the_facts_tell(quantised: Quantised) -> None:
    facts = quantised.loaded.facts
    layers = [module for module in quantised.oracle.modules() if type(module).__module__.startswith("bitsandbytes")]

    assert facts.numerics in ("nf4", "int8")
    assert facts.numerics in quantised.loaded.numerics.reason
    assert layers
    assert all(layer.weight.element_size() == 1 for layer in layers)


@pytest.mark.parametrize("inputs", [48, 64, 688])  # 64 weights share a scale: rows that end within such a block too
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_four_bits_say_what_they_should(inputs: int, dtype: torch.dtype) -> None:
    """Against a table and one scale for every 64 weights of the whole matrix in order, written out plainly."""
    torch.manual_seed(0)
    weight = torch.randn(96, inputs)
    library: Any = bitsandbytes  # untyped
    layer = library.nn.Linear4bit(inputs, 96, bias=False, quant_type="nf4", compute_dtype=dtype)
    layer.load_state_dict({"weight": weight})
    layer = layer.to("cpu").requires_grad_(False)
    fit_to_cpu(layer)

    blocks = weight.flatten().view(-1, 64)
    scales = blocks.abs().amax(1, keepdim=True)
    levels = library.functional.get_4bit_type("nf4", "cpu")
    wanted = (levels[(blocks / scales)[..., None].sub(levels).abs().argmin(-1)] * scales).view(96, inputs)

    read = layer.train(False)(torch.eye(inputs, dtype=dtype)).T.float()
    assert torch.allclose(read, wanted, rtol=0.02, atol=1e-6)  # the packed kernel rounds scale and level to bfloat16
    assert (read - weight).norm() < 0.1 * weight.norm()  # what nf4 costs; blocks taken for others cost three times that


def test_other_numerics_are_another_digest(tmp_path: Path) -> None:
    directory = save_tiny_model(tmp_path)
    facts = [load(str(directory), device="cpu", dtype=dtype, max_new_tokens=1).facts for dtype in DTYPES]

    assert [each.numerics for each in facts] == ["none", "none", "nf4", "int8"]
    assert len({each.digest for each in facts}) == 3
    assert facts[0].digest == facts[1].digest  # the files' own: adapters name it
    assert facts[2].digest == served_digest(facts[0].digest, "nf4")


async def test_what_one_gets_in_8_bits_does_not_depend_on_the_others(tmp_path: Path) -> None:
    """LLM.int8's own threshold keeps columns of the whole batch: these weights have many values above it."""
    model = tiny_model()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "layernorm" in name:
                weights.mul_(8)
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    loaded = load(str(tmp_path), device="cpu", dtype="int8", max_new_tokens=LENGTH)
    asked = [Request(str(n), tuple(prompt), (), n, 0.0, 1.0, 0, LENGTH) for n, prompt in enumerate(prompts(6))]

    async with engine_of(loaded) as engine:
        alone = [await answered(engine, each) for each in asked]
        together = await asyncio.gather(*(answered(engine, each) for each in asked))

    assert together == alone


@pytest.mark.parametrize("dtype", ["nf4", "int8"])
def test_without_bitsandbytes_one_line_says_so(dtype: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=f"{dtype} weights need bitsandbytes and accelerate"):
        quantisation(dtype, torch.float32)


@pytest.mark.parametrize("dtype", ["nf4", "int8"])
def test_what_is_not_quantised_is_as_precise_as_the_cpu_is_fast(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numerics, "_cpu_has_bfloat16", lambda: True)

    chosen = numerics.choose_numerics("cpu", dtype)

    assert (chosen.dtype, chosen.quantisation) == (torch.bfloat16, dtype)
    assert chosen.reason == f"{dtype} weights and bfloat16 on cpu, as configured"
