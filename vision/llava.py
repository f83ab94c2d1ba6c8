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
    """A model made of the parts themselves, which change with it, and of a fresh projector (it follows torch's seed).

    `tokenizer` knows `image_token` and the language model has a row for each of its tokens; a chat template marks a
    picture with that token once. Raises: ValueError: a part that LLaVA cannot use, or a token that is missing."""
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
    head, is_tied = _head(language_model)
    joined_config = LlavaConfig(
        vision_config=config.to_dict(),
        text_config=text.to_dict() | {"tie_word_embeddings": is_tied},
        image_token_index=token_id,
        vision_feature_layer=layer,
        vision_feature_select_strategy=strategy,
        image_seq_length=(config.image_size // config.patch_size) ** 2,
        tie_word_embeddings=is_tied,
    )
    with torch.device("meta"):  # large parts are never held twice
        joined: Any = LlavaForConditionalGeneration(joined_config)
    projector = type(joined.model.multi_modal_projector)(joined_config)
    joined.model.vision_tower = encoder
    joined.model.multi_modal_projector = projector.to(language_model.device, language_model.dtype)
    joined.model.language_model = language_model.base_model
    joined.lm_head = head
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


def _head(language_model: Any) -> tuple[torch.nn.Linear, bool]:
    """The layer from its last states to its logits, and whether that shares its weights with the embeddings.

    Some families multiply logits by a number of their configuration, which LLaVA does not: it goes into the weights.
    Raises: ValueError: they do more than that."""
    config: Any = language_model.config
    head = language_model.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear) or getattr(head, "bias", None) is not None:
        raise ValueError(f"the head of {config.model_type!r} is no linear layer without bias")
    ids = torch.arange(8, device=language_model.device)[None] % config.vocab_size
    was_training = language_model.training
    language_model.eval()
    with torch.no_grad():
        said = language_model(input_ids=ids, use_cache=False).logits.float()
        plain = head(language_model.base_model(input_ids=ids, use_cache=False).last_hidden_state).float()
    language_model.train(was_training)
    scaling = float(getattr(config, "logits_scaling", None) or getattr(config, "logit_scale", None) or 1.0)
    for factor in (1.0, scaling, 1 / scaling):
        if (said - factor * plain).abs().max() <= 0.01 * said.abs().max():
            break
    else:
        raise ValueError(f"the logits of {config.model_type!r} are not what its head makes of its last states")
    if getattr(config, "final_logit_softcapping", None):  # small logits do not show it
        raise ValueError(f"{config.model_type!r} bends its logits, and LLaVA has no place for that")
    shares = bool(config.tie_word_embeddings)
    is_tied = shares and factor == 1 and hasattr(language_model.base_model, "embed_tokens")  # the name LLaVA ties to
    if factor != 1 or is_tied != shares:
        own = torch.nn.Linear(head.in_features, head.out_features, bias=False, device="meta")
        own.weight = torch.nn.Parameter(head.weight.detach() * factor)
        head = own
    return head, is_tied


def template_with_pictures(template: str, image_token: str) -> str:
    """A chat template of text, which then also takes turns that are lists of texts and pictures. Other turns are
    rendered as before."""
    return (
        "{% set told = namespace(turns=[]) %}{% for message in messages %}"
        "{% if message['content'] is string or message['content'] is not iterable %}"
        "{% set told.turns = told.turns + [message] %}"
        "{% else %}{% set said = namespace(text='') %}{% for part in message['content'] %}"
        "{% set said.text = said.text + ('" + image_token + "' if part['type'] == 'image' else part['text']) %}"
        "{% endfor %}{% set told.turns = told.turns + [dict(message, content=said.text)] %}{% endif %}"
        "{% endfor %}{% set messages = told.turns %}{{ '' }}" + template
    )


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
