"""The models and adapters that the engine's bench makes."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tests.bench.engine_models import RANK, random_adapter, random_llama, random_prompts, random_texts, reference_model
from tests.bench.peers.transformers_cb import blocks
from tests.service import ROOT
from workers.engine.model_loader import load

_SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def test_nothing_ends_an_answer_of_the_reference_models_copy(tmp_path: Path) -> None:
    loaded = load(str(reference_model(tmp_path / "model")), device="cpu", dtype="float32", max_new_tokens=8)

    assert loaded.facts.stop_ids == frozenset()
    assert loaded.stop_text is None


def test_nothing_ends_an_answer_of_a_random_llama(tmp_path: Path) -> None:
    loaded = load(str(random_llama(tmp_path / "model", 1, _SMALL)), device="cpu", dtype="float32", max_new_tokens=8)

    assert loaded.facts.stop_ids == frozenset()
    assert loaded.facts.vocabulary == len(loaded.tokenizer)


def test_texts_have_as_many_tokens_as_asked_for_and_differ(tmp_path: Path) -> None:
    model = reference_model(tmp_path / "model")

    texts = random_texts(model, 5, 64, random.Random(1))

    tokenizer = AutoTokenizer.from_pretrained(model)
    said = [tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False) for text in texts]
    assert [len(tokenizer.encode(text, add_special_tokens=False)) for text in said] == [64] * 5
    assert len(set(texts)) == 5


def test_prompts_have_no_control_tokens() -> None:
    prompts = random_prompts(3, 500, random.Random(1))

    assert [len(prompt) for prompt in prompts] == [500] * 3
    assert min(min(prompt) for prompt in prompts) >= 16


def test_an_adapter_fits_every_linear_layer_of_its_base(tmp_path: Path) -> None:
    base = tmp_path / "base"
    LlamaForCausalLM(LlamaConfig(vocab_size=64, **_SMALL)).save_pretrained(base)
    model = LlamaForCausalLM(AutoConfig.from_pretrained(base))
    linears = {name: module.weight.shape for name, module in model.named_modules() if name.endswith("_proj")}

    adapter = random_adapter(tmp_path / "adapter", base, "digest", 1)

    with safe_open(adapter / "adapter_model.safetensors", framework="pt") as opened:
        shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    assert len(shapes) == 2 * len(linears) == 28
    for name, (outputs, inputs) in linears.items():
        assert shapes[f"base_model.model.{name}.lora_A.weight"] == (RANK, inputs)
        assert shapes[f"base_model.model.{name}.lora_B.weight"] == (outputs, RANK)


def test_the_peers_cache_holds_all_their_answers() -> None:
    assert blocks(64, 160) == 64 + 8
    assert blocks(64, 257) == 128 + 8


def test_the_peer_is_the_transformers_that_we_use() -> None:
    """Otherwise a comparison would be one of two versions."""
    locks = ("infra/locks/run.txt", "tests/bench/peers/transformers_serve.txt")
    pinned = [re.findall(r"^transformers==(\S+)", (ROOT / lock).read_text(), re.MULTILINE) for lock in locks]

    assert len(pinned[0]) == 1
    assert pinned[0] == pinned[1]
