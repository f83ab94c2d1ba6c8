"""The decoder of a model, which reads and writes words: the whole of a causal language model, and the part of a model
with eyes that a picture's vectors go into. And what may be adapted: its linear layers and the projector's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedModel,
)

from shared.adapters.folder import ORIGIN

PROJECTOR = "multi_modal_projector"  # as LLaVA calls it
EYES_ADAPTER = "eyes_adapter"  # folder beside the weights, if they only talk: LoRA for prompts with pictures
TOKENS_FROM = "tokens_from"  # in its ORIGIN: the first token that only answers about pictures have


def has_eyes(config: Any) -> bool:
    """Of a model with this transformers configuration."""
    return type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING


def model_kind(config: Any) -> Any:
    """The class of transformers whose `from_pretrained` opens such a model whole."""
    return AutoModelForImageTextToText if has_eyes(config) else AutoModelForCausalLM


def open_language_model(folder: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """What a model says without pictures, as a causal language model; the eyes, if it has some, are left out, and the
    tokens that are for its EYES_ADAPTER alone.

    Raises: OSError, ValueError: transformers cannot open it."""
    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
    whole: Any = model_kind(config).from_pretrained(folder, dtype=dtype, local_files_only=True)
    if not has_eyes(config):
        return whole  # type: ignore[no-any-return]
    with torch.device("meta"):  # its weights come from the whole
        language: Any = AutoModelForCausalLM.from_config(config.text_config)  # type: ignore[no-untyped-call]  # transformers
    setattr(language, language.base_model_prefix, whole.get_decoder())
    language.set_output_embeddings(whole.get_output_embeddings())
    language.generation_config = whole.generation_config
    if (ordinary := eyes_tokens_from(folder)) is not None:
        language.resize_token_embeddings(ordinary)
    return language  # type: ignore[no-any-return]


def eyes_tokens_from(folder: Path) -> int | None:
    """From which id on tokens belong to the EYES_ADAPTER of the model in `folder`. None: it has none.

    Raises: OSError, ValueError, KeyError: its file is damaged."""
    file = folder / EYES_ADAPTER / ORIGIN
    return int(json.loads(file.read_text(encoding="utf-8"))[TOKENS_FROM]) if file.exists() else None


def decoder_linears(model: PreTrainedModel) -> dict[str, Any]:
    """The decoder's linear layers by their full names: those that see every token of a batch, in its order.

    Not the output layer (serving shows it last tokens only), a picture's encoder, or single experts."""
    decoder: torch.nn.Module = model.get_decoder()  # type: ignore[no-untyped-call]  # transformers
    inside = {id(module) for module in decoder.modules()}
    return {
        name: module
        for name, module in model.named_modules()
        if id(module) in inside and ".experts." not in f".{name}." and _is_linear(module)
    }


def projector_linears(model: PreTrainedModel) -> dict[str, Any]:
    """The linear layers between a picture's encoder and the decoder, by their full names; none in a model without
    eyes. They see one picture at a time."""
    return {
        name: module for name, module in model.named_modules() if f".{PROJECTOR}." in f".{name}" and _is_linear(module)
    }


def _is_linear(module: Any) -> bool:
    return all(isinstance(getattr(module, features, None), int) for features in ("in_features", "out_features"))
