"""A joined model says of text what its language model says, whatever the family does between states and logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import PreTrainedModel

from tests.tiny_models import (
    FAMILIES,
    GROUPED,
    PICTURE_TOKEN,
    UNGROUPED,
    tiny_encoder,
    tiny_image_processor,
    tiny_model,
    tiny_tokenizer,
)
from training.export import round_weights
from vision.llava import freshened_rows, join, template_with_pictures

IDS = torch.tensor([[0, 9, 200, 31, 7]])
LONG = torch.arange(9, 209)[None]  # far enough for a position that is told inexactly to show


def joined(language_model: Any) -> Any:
    tokenizer = tiny_tokenizer(PICTURE_TOKEN)
    freshened_rows(language_model, len(tokenizer))
    model: Any = join(tiny_encoder(), language_model, tokenizer, tiny_image_processor(), PICTURE_TOKEN)[0]
    return model.eval()


@torch.inference_mode()
def logits(model: Any, ids: torch.Tensor = IDS) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=ids).logits
    return found


SPECIAL: dict[str, Callable[[], PreTrainedModel]] = {
    "scaled": lambda: transformers.HyperCLOVAXForCausalLM(_hyperclovax(tie_word_embeddings=False)),
    "scaled and tied": lambda: transformers.HyperCLOVAXForCausalLM(_hyperclovax(tie_word_embeddings=True)),
    "divided": lambda: transformers.GraniteForCausalLM(transformers.GraniteConfig(**GROUPED, logits_scaling=8.0)),
    "tied": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**GROUPED, tie_word_embeddings=True)),
    "tied by another name": lambda: transformers.GPTNeoXForCausalLM(
        transformers.GPTNeoXConfig(**UNGROUPED, tie_word_embeddings=True)
    ),
}


def _hyperclovax(**options: Any) -> transformers.HyperCLOVAXConfig:
    return transformers.HyperCLOVAXConfig(**GROUPED, logits_scaling=0.125, **options)


@pytest.mark.parametrize("family", [*(family for family in FAMILIES if family != "Gemma2"), *SPECIAL])
def test_joined_model_says_what_its_language_model_says(family: str, tmp_path: Path) -> None:
    language_model: Any = SPECIAL[family]() if family in SPECIAL else tiny_model(family)
    language_model.eval()

    model = joined(language_model)

    assert torch.equal(logits(model), logits(language_model))
    model.save_pretrained(tmp_path)
    again = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(logits(model), logits(again))


def _buffers(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Frequencies of positions, by name."""
    return {name: each.clone() for name, each in model.named_buffers() if each.is_floating_point()}


def test_parts_of_few_bits_keep_their_exact_positions() -> None:
    language_model = tiny_model("Qwen3")
    exact = _buffers(language_model)
    round_weights(language_model, torch.bfloat16)

    model = joined(language_model)

    assert exact
    assert {each.dtype for each in model.model.language_model.parameters()} == {torch.bfloat16}
    assert {each.dtype for each in model.model.multi_modal_projector.parameters()} == {torch.bfloat16}
    found = _buffers(model.model.language_model)
    assert all(torch.equal(found[name.removeprefix("model.")], each) for name, each in exact.items())


def test_rounded_model_is_the_one_that_is_loaded_again(tmp_path: Path) -> None:
    model = joined(tiny_model())
    round_weights(model, torch.bfloat16)

    model.save_pretrained(tmp_path)
    again = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)

    assert torch.equal(logits(model, LONG), logits(again, LONG))


def test_model_that_bends_its_logits_is_refused() -> None:
    with pytest.raises(ValueError, match="gemma2"):
        joined(tiny_model("Gemma2"))


def test_template_of_text_takes_pictures_too() -> None:
    tokenizer = tiny_tokenizer(PICTURE_TOKEN)
    turns = [{"role": "user", "content": "<image>뭐예요?"}, {"role": "assistant", "content": "사과"}]
    with_parts = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "뭐예요?"}]}, turns[1]]
    template = template_with_pictures("\n" + tokenizer.chat_template, PICTURE_TOKEN)

    def said(conversation: Any, chat_template: str) -> str:
        return str(tokenizer.apply_chat_template(conversation, chat_template=chat_template, tokenize=False))

    assert said(turns, template) == said(turns, "\n" + tokenizer.chat_template) == said(with_parts, template)
