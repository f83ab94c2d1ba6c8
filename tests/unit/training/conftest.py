"""A tokenizer learnt in a moment and a model of a few thousand weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from shared.settings import load_settings
from training.config import ModelShape
from training.conversations import ConversationEncoder
from training.loop import build_model
from training.tokenizer import train_tokenizer

TEXTS = ["안녕하세요. 오늘 날씨가 좋네요.", "사과 3개와 배 4개가 있어요.", "잘 지냈어? 응, 잘 지냈어."] * 5


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(iter(TEXTS), vocab_size=300)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The Korean data folder, for tests marked `data`."""
    found = load_settings().data_dir
    if not (found / "README.md").is_file():
        pytest.skip(f"no data folder at {found}: set NUNMAL_DATA_DIR")
    return found


@pytest.fixture(scope="session")
def encoder(tokenizer: PreTrainedTokenizerFast) -> ConversationEncoder:
    return ConversationEncoder(tokenizer)


@pytest.fixture
def tiny_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    shape = ModelShape(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    return build_model(shape, 0, 1, 5)
