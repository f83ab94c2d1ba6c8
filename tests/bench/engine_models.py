"""What the engine's bench serves: models whose answers run to their limit, prompts, and random adapters.

An answer that ends by itself would make the ways incomparable, so every model here has no end token: the reference
model is copied without it, and with a chat template that only joins what was said.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from shared.settings import REFERENCE_MODEL, Settings
from vision.decoder import open_language_model
from vision.llava import freshened_rows, join
from workers.engine.base import Picture

RANK = 16
_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
_PICTURE, _SIDE = "<|noise|>", 32
_EYES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": _SIDE,
    "patch_size": 8,
    "vision_use_head": False,
}
_CONTROL_TOKENS = 16  # the lowest ids of the reference tokenizer; no prompt has them
# 126 million parameters, with the vocabulary of the reference tokenizer.
_LLAMA: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 16,
    "num_attention_heads": 12,
    "num_key_value_heads": 12,
}


def reference_model(directory: Path) -> Path:
    """What the reference model reads and writes words with, and no end."""
    directory.mkdir(parents=True)
    model = open_language_model(Path(Settings(model=REFERENCE_MODEL).model_source), torch.bfloat16)
    model.config.eos_token_id = None
    model.save_pretrained(directory)
    _write_rest(directory)
    return directory


def seeing_model(directory: Path, language: Path, seed: int) -> Path:
    """The same language model with random eyes, for pictures of noise."""
    model, tokenizer = open_language_model(language), AutoTokenizer.from_pretrained(language)
    tokenizer.add_special_tokens({"additional_special_tokens": [_PICTURE]}, replace_extra_special_tokens=False)
    torch.manual_seed(seed)
    freshened_rows(model, len(tokenizer))
    images = SiglipImageProcessorPil(size={"height": _SIDE, "width": _SIDE})
    joined, _ = join(SiglipVisionModel(SiglipVisionConfig(**_EYES)), model, tokenizer, images, _PICTURE)
    joined.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    images.save_pretrained(directory)
    _write_generation_config(directory)
    return directory


def shown(prompt: list[int], directory: Path) -> list[int]:
    """A prompt behind a picture, for a model of `seeing_model`."""
    config = AutoConfig.from_pretrained(directory)
    return [config.image_token_id] * config.image_seq_length + prompt


def noise(seed: int) -> Picture:
    pixels = np.random.default_rng(seed).normal(size=(3, _SIDE, _SIDE)).astype(np.float32)
    return Picture(f"noise {seed}", pixels)


def random_llama(
    directory: Path, seed: int, shape: dict[str, Any] = _LLAMA, dtype: torch.dtype = torch.float32
) -> Path:
    """Random weights, with the reference tokenizer."""
    directory.mkdir(parents=True)
    _write_rest(directory)
    torch.manual_seed(seed)
    vocabulary = len(AutoTokenizer.from_pretrained(directory))
    config = LlamaConfig(
        **{"vocab_size": vocabulary, "max_position_embeddings": 4096, "tie_word_embeddings": False, **shape},
        bos_token_id=1,
        eos_token_id=None,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).to(dtype).save_pretrained(directory)  # type: ignore[arg-type]  # transformers
    _write_generation_config(directory)
    return directory


def _write_rest(directory: Path) -> None:
    """Everything of a model but its weights and their configuration."""
    source = Path(Settings(model=REFERENCE_MODEL).model_source)
    shutil.copy(source / "tokenizer.json", directory)
    tokenizer = json.loads((source / "tokenizer_config.json").read_text())
    del tokenizer["eos_token"]
    (directory / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (directory / "chat_template.jinja").write_text(_TEMPLATE)
    _write_generation_config(directory)


def _write_generation_config(directory: Path) -> None:
    (directory / "generation_config.json").write_text(json.dumps({"do_sample": False, "pad_token_id": 0}))


def random_prompts(count: int, length: int, chance: random.Random, vocabulary: int = 8192) -> list[list[int]]:
    """Token ids without control tokens. No two are alike, so that no prefix is ever found again by chance."""
    return [[chance.randrange(_CONTROL_TOKENS, vocabulary) for _ in range(length)] for _ in range(count)]


def random_texts(directory: Path, count: int, length: int, chance: random.Random) -> list[str]:
    """Hangul that is exactly `length` tokens long for the tokenizer in `directory`."""
    tokenizer = AutoTokenizer.from_pretrained(directory)
    pieces = (str(tokenizer.decode([token])) for token in range(_CONTROL_TOKENS, len(tokenizer)))
    words = [piece for piece in pieces if re.fullmatch(" [가-힣]+", piece)]
    texts: list[str] = []
    while len(texts) < count:
        text = ""
        while (tokens := len(tokenizer.encode(text, add_special_tokens=False))) < length:
            text += chance.choice(words)
        if tokens == length:
            texts.append(text)
    return texts


def random_adapter(directory: Path, model: Path, base_digest: str, seed: int) -> Path:
    """A LoRA adapter of rank 16 over all linear layers, as PEFT writes one, small enough not to upset the model."""
    directory.mkdir(parents=True)
    config = AutoConfig.from_pretrained(model)
    chance = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    for layer in range(config.num_hidden_layers):
        for name in _LINEARS:
            room = "self_attn" if name in _LINEARS[:4] else "mlp"
            wide, narrow = _widths(config, name)
            prefix = f"base_model.model.model.layers.{layer}.{room}.{name}"
            weights[f"{prefix}.lora_A.weight"] = torch.randn(RANK, wide, generator=chance) / wide**0.5
            weights[f"{prefix}.lora_B.weight"] = torch.randn(narrow, RANK, generator=chance) * 0.01
    save_file(weights, directory / "adapter_model.safetensors", {"format": "pt"})
    (directory / "adapter_config.json").write_text(json.dumps(_adapter_config(model)))
    (directory / "nunmal.json").write_text(json.dumps({"base_digest": base_digest, "numerics": "none"}))
    return directory


def _widths(config: Any, name: str) -> tuple[int, int]:
    """Features that go into a linear layer, and that come out."""
    hidden, wide = config.hidden_size, config.intermediate_size
    head = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    heads, shared = config.num_attention_heads * head, config.num_key_value_heads * head
    return {
        "q_proj": (hidden, heads),
        "k_proj": (hidden, shared),
        "v_proj": (hidden, shared),
        "o_proj": (heads, hidden),
        "gate_proj": (hidden, wide),
        "up_proj": (hidden, wide),
        "down_proj": (wide, hidden),
    }[name]


def _adapter_config(model: Path) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(model),
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "lora_dropout": 0.0,
        "target_modules": list(_LINEARS),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "use_rslora": False,
        "use_dora": False,
    }
