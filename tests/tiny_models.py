"""Tiny random models of the families people use, and a tokenizer: real architectures, a few thousand weights."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from workers.engine.vocabulary import Vocabulary

VOCABULARY = 320
CONTEXT_LENGTH = 512
END = 1
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

UNGROUPED: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT_LENGTH,
    "bos_token_id": 0,
    "eos_token_id": END,
    "pad_token_id": 0,
}
GROUPED: dict[str, Any] = UNGROUPED | {"num_key_value_heads": 2}
_WINDOWED: dict[str, Any] = GROUPED | {"head_dim": 12, "sliding_window": 8, "query_pre_attn_scalar": 12}

FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    "Llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**GROUPED)),
    "GPTNeoX": lambda: transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**UNGROUPED)),
    "Qwen2": lambda: transformers.Qwen2ForCausalLM(
        transformers.Qwen2Config(**GROUPED, use_sliding_window=True, sliding_window=8, max_window_layers=1)
    ),
    "Qwen3": lambda: transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**GROUPED, head_dim=12)),
    "Gemma2": lambda: transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**_WINDOWED)),
    "Gemma3": lambda: transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**_WINDOWED)),
    "Exaone4": lambda: transformers.Exaone4ForCausalLM(
        transformers.Exaone4Config(**GROUPED, sliding_window=8, sliding_window_pattern=2)
    ),
    "HyperCLOVAX": lambda: transformers.HyperCLOVAXForCausalLM(transformers.HyperCLOVAXConfig(**GROUPED)),
}


PLACEHOLDER = 3  # the token id that stands for a vector of a picture
PICTURE_SIZE = 16  # pixels
_EYES: dict[str, Any] = {
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": PICTURE_SIZE,
    "patch_size": 4,
}
_SIGLIP: dict[str, Any] = {
    "vision_config": transformers.SiglipVisionConfig(**_EYES),
    "vision_feature_layer": -1,
    "vision_feature_select_strategy": "full",
}
_CLIP: dict[str, Any] = {
    "vision_config": transformers.CLIPVisionConfig(**_EYES),
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default",
}

FAMILIES_WITH_EYES: dict[str, dict[str, Any]] = {
    "Siglip-Llama": _SIGLIP | {"text_config": transformers.LlamaConfig(**GROUPED)},
    "CLIP-GPTNeoX": _CLIP | {"text_config": transformers.GPTNeoXConfig(**UNGROUPED)},
    "Siglip-Qwen3": _SIGLIP | {"text_config": transformers.Qwen3Config(**GROUPED, head_dim=12)},
}


def tiny_model(family: str = "Llama", seed: int = 0) -> PreTrainedModel:
    """Random weights, large enough for the likeliest token to stand out; float32, ready to generate."""
    torch.manual_seed(seed)
    return _ready(FAMILIES[family]())


def tiny_model_with_eyes(
    family: str = "Siglip-Llama", seed: int = 0, placeholder: int = PLACEHOLDER
) -> PreTrainedModel:
    """A picture becomes 16 vectors."""
    torch.manual_seed(seed)
    options = copy.deepcopy(FAMILIES_WITH_EYES[family])
    return _ready(
        transformers.LlavaForConditionalGeneration(transformers.LlavaConfig(**options, image_token_index=placeholder))
    )


def _ready(model: PreTrainedModel) -> PreTrainedModel:
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(4)
    model.train(False)
    return model


@functools.cache
def tiny_tokenizer(*more_tokens: str) -> Any:  # a PreTrainedTokenizerFast, whose own types also cover batches
    """Byte-level BPE with a chat template; every id below VOCABULARY means something."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", *more_tokens],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["안녕하세요 반갑습니다 오늘 날씨가 참 좋네요 감사합니다 그렇군요"] * 40, trainer)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers
        tokenizer_object=tokenizer,
        bos_token="<|begin|>",
        eos_token="<|end|>",
        additional_special_tokens=["<|system|>", "<|user|>", "<|assistant|>", *more_tokens],
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


@functools.cache
def tiny_vocabulary() -> Vocabulary:
    return Vocabulary(tiny_tokenizer(), VOCABULARY, frozenset({END}))


def save_tiny_model(directory: Path, family: str = "Llama", seed: int = 0) -> Path:
    """A model directory as it would come from the hub."""
    tiny_model(family, seed).save_pretrained(directory)
    tiny_tokenizer().save_pretrained(directory)
    return directory


PICTURE_TOKEN = "<image>"
PICTURE_TOKEN_ID = 5  # the first behind the other control tokens


def tiny_encoder(kind: str = "Siglip") -> PreTrainedModel:
    torch.manual_seed(0)
    if kind == "Siglip":
        return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**_EYES))
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**_EYES))


def save_tiny_encoder(directory: Path, kind: str = "Siglip") -> Path:
    """An image encoder with its processor, as it would come from the hub."""
    tiny_encoder(kind).save_pretrained(directory)
    processor = tiny_image_processor()
    if kind == "CLIP":
        side = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
        processor = transformers.CLIPImageProcessorPil(size={"shortest_edge": PICTURE_SIZE}, crop_size=side)
    processor.save_pretrained(directory)
    return directory


def save_tiny_model_with_eyes(directory: Path, seed: int = 0) -> Path:
    """The same with eyes, an image processor beside it."""
    tiny_model_with_eyes(seed=seed, placeholder=PICTURE_TOKEN_ID).save_pretrained(directory)
    tiny_tokenizer(PICTURE_TOKEN).save_pretrained(directory)
    tiny_image_processor().save_pretrained(directory)
    return directory


def tiny_image_processor() -> Any:  # its own types leave out what Pillow opens
    return transformers.SiglipImageProcessorPil(size={"height": PICTURE_SIZE, "width": PICTURE_SIZE})
