"""An image encoder and a language model that others have trained, from their folders to one model that can learn.

Only safetensors are read, and no code that lies in a folder is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils.constants import DUMMY_TARGET_MODULES
from PIL import Image
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPVisionModel,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    SiglipVisionModel,
)

from training.config import LlavaRecipe, LoraShape
from training.eyes_adapter import adapted_layers
from vision.decoder import PROJECTOR
from vision.llava import freshened_rows, join, template_with_pictures

StageName = Literal["describe", "answer"]
_ENCODERS: dict[str, type[PreTrainedModel]] = {
    "siglip": SiglipVisionModel,
    "siglip_vision_model": SiglipVisionModel,
    "clip": CLIPVisionModel,
    "clip_vision_model": CLIPVisionModel,
}


@dataclass(frozen=True, slots=True)
class Parts:
    """A joined model with all it needs to read text and pictures."""

    model: LlavaForConditionalGeneration
    processor: LlavaProcessor
    tokenizer: PreTrainedTokenizerBase
    image_processor: Any  # Pillow's, never torchvision's, which rounds otherwise
    picture_tokens: int  # vectors of a picture
    stops: frozenset[int]  # ids that end an answer


def load_parts(recipe: LlavaRecipe) -> Parts:
    """Both parts as they are, with a fresh projector in float32; frozen. The same recipe gives the same weights.

    Raises: ValueError: a folder that holds something else; OSError: a file is missing."""
    torch.manual_seed(recipe.seed)
    encoder = _load_encoder(recipe.encoder, recipe.dtype)
    language_model: Any = AutoModelForCausalLM.from_pretrained(
        recipe.language_model,
        dtype=getattr(torch, recipe.dtype),
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    )
    tokenizer: Any = AutoTokenizer.from_pretrained(
        recipe.language_model, local_files_only=True, trust_remote_code=False
    )
    tokenizer.model_input_names = ["input_ids", "attention_mask"]  # GPT-NeoX's names token types, which no model takes
    known = tokenizer.convert_tokens_to_ids(recipe.image_token)
    if tokenizer.encode(recipe.image_token, add_special_tokens=False) != [known]:
        added = {"additional_special_tokens": [recipe.image_token]}
        tokenizer.add_special_tokens(added, replace_extra_special_tokens=False)
    if isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = template_with_pictures(tokenizer.chat_template, recipe.image_token)
    if len(tokenizer) > language_model.get_input_embeddings().weight.shape[0]:
        freshened_rows(language_model, len(tokenizer))
    image_processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]  # transformers
        recipe.encoder, backend="pil", local_files_only=True, trust_remote_code=False
    )
    _require_size(image_processor, encoder.config)
    model, processor = join(encoder, language_model, tokenizer, image_processor, recipe.image_token)
    model.requires_grad_(False)
    projector: Any = model.model.multi_modal_projector
    projector.float()
    ends = language_model.generation_config.eos_token_id
    return Parts(
        model,
        processor,
        tokenizer,
        image_processor,
        int(model.config.image_seq_length),
        frozenset([] if ends is None else ends if isinstance(ends, list) else [ends]),
    )


def _load_encoder(folder: Path, dtype: str) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    kind: Any = _ENCODERS.get(config.model_type)
    if kind is None:
        raise ValueError(f"{folder} holds an encoder of kind {config.model_type!r}; known: {', '.join(_ENCODERS)}")
    encoder: PreTrainedModel
    encoder, found = kind.from_pretrained(
        folder,
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    if missing := found["missing_keys"]:
        raise ValueError(f"{folder} lacks {len(missing)} weights, such as {min(missing)}")
    return encoder


def _require_size(image_processor: Any, config: Any) -> None:
    """What serving asks for: pictures of any shape become squares of the encoder's size."""
    blank = Image.new("RGB", (config.image_size + 9, config.image_size))
    shape = tuple(image_processor(images=[blank], return_tensors="np")["pixel_values"][0].shape)
    if shape != (3, config.image_size, config.image_size):
        raise ValueError(
            f"the image processor makes pictures of {shape}, and the encoder sees {config.image_size} pixels"
        )


def learner(model: LlavaForConditionalGeneration, stage: StageName, lora: LoraShape) -> PeftModel:
    """The model with what the stage learns: a copy of the projector, and adapters if it is the second. Checkpoints of
    it hold nothing else."""
    shape: dict[str, Any] = {"target_modules": DUMMY_TARGET_MODULES}  # no layer at all
    if stage == "answer":
        shape = {
            "target_modules": adapted_layers(model, lora.targets),
            "r": lora.r,
            "lora_alpha": lora.alpha,
            "lora_dropout": lora.dropout,
        }
    learning: PeftModel = get_peft_model(model, LoraConfig(modules_to_save=[PROJECTOR], **shape))
    return learning
