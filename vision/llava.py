"""Join an image encoder and a language model into a standard LlavaForConditionalGeneration with its processor.

Any SigLIP or CLIP encoder and any causal language model of transformers: nothing is decided here but how a picture is
marked in text. The result is saved and loaded by transformers alone.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from transformers import (
    BaseImageProcessor,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    SiglipVisionConfig,
)

# What LLaVA takes of an encoder: layer, whether its class token is dropped, and how many extra tokens it has.
_TAKEN: dict[type, tuple[int, Literal["full", "default"], int]] = {
    SiglipVisionConfig: (-1, "full", 0),
    CLIPVisionConfig: (-2, "default", 1),
}


def join(
    encoder: PreTrainedModel,
    language_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    image_processor: BaseImageProcessor,
    image_token: str,
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """A model with both parts' weights and a fresh projector (its initialisation follows torch's seed).

    `tokenizer` knows `image_token` and the language model has a row for each of its tokens; a chat template marks a
    picture with that token once. Raises: ValueError: an encoder that LLaVA cannot use, or a token that is missing."""
    config: Any = encoder.config
    if type(config) not in _TAKEN:
        raise ValueError(f"an encoder of kind {config.model_type!r}; known: siglip_vision_model, clip_vision_model")
    layer, strategy, extra = _TAKEN[type(config)]
    token_id = tokenizer.convert_tokens_to_ids(image_token)
    text: Any = language_model.config
    if not isinstance(token_id, int) or token_id == tokenizer.unk_token_id:
        raise ValueError(f"the tokenizer has no token {image_token!r}")
    if len(tokenizer) > text.vocab_size:
        raise ValueError(f"{len(tokenizer)} tokens, and rows for {text.vocab_size}")
    joined = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=config.to_dict(),
            text_config=text.to_dict(),
            image_token_index=token_id,
            vision_feature_layer=layer,
            vision_feature_select_strategy=strategy,
            image_seq_length=(config.image_size // config.patch_size) ** 2,
            tie_word_embeddings=bool(text.tie_word_embeddings),
        )
    )
    joined.model.vision_tower.load_state_dict(encoder.state_dict())
    parts = language_model.state_dict()
    inner = {k.removeprefix(f"{language_model.base_model_prefix}."): v for k, v in parts.items()}
    head = {k.removeprefix("lm_head."): v for k, v in inner.items() if k.startswith("lm_head.")}
    joined.model.language_model.load_state_dict({k: v for k, v in inner.items() if not k.startswith("lm_head.")})
    if not text.tie_word_embeddings:
        joined.lm_head.load_state_dict(head)
    joined.generation_config = language_model.generation_config
    processor = LlavaProcessor(  # type: ignore[no-untyped-call]  # transformers
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=config.patch_size,
        vision_feature_select_strategy=strategy,
        chat_template=tokenizer.chat_template,
        image_token=image_token,
        num_additional_image_tokens=extra,
    )
    return joined, processor


def freshened_rows(model: PreTrainedModel, rows: int) -> None:
    """Give the language model `rows` embeddings; new ones begin as the mean of the old with a little noise."""
    embeddings: Any = model.get_input_embeddings()
    old = embeddings.weight.shape[0]
    if rows == old:
        return
    model.resize_token_embeddings(rows, mean_resizing=False)
    embeddings = model.get_input_embeddings()
    weight = embeddings.weight
    with torch.no_grad():
        mean, spread = weight[:old].mean(0), weight[:old].std()
        weight[old:] = mean + spread * torch.randn_like(weight[old:])
