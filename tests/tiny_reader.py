"""A tiny model with eyes and a scene parser, put together as the reference model is; random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, SiglipVisionConfig

from tests.tiny_models import tiny_tokenizer
from vision.llava import freshened_rows, join
from vision.parser.model import SceneParser
from vision.pixels import image_processor
from vision.reader import save_head
from vision.reasoning.tokens import ALL, GRID, IMAGE

SIZE = 96  # pixels of its pictures


def save_tiny_reader(directory: Path) -> Path:
    """What it finds in a picture is arbitrary, but it finds something."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer(*ALL)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2}
    language = LlamaForCausalLM(
        LlamaConfig(**sizes, num_hidden_layers=2, vocab_size=tokenizer.vocab_size, tie_word_embeddings=True)
    )
    freshened_rows(language, len(tokenizer))
    parser = SceneParser(
        SiglipVisionConfig(
            **sizes, num_hidden_layers=1, image_size=SIZE, patch_size=SIZE // GRID, vision_use_head=False
        )
    )
    with torch.no_grad():
        parser.head.out.bias.view(-1, parser.head.out.bias.numel() // 2)[:, 0] += 3  # of presence
    images = image_processor(SIZE)
    model, processor = join(parser.encoder, language, tokenizer, images, IMAGE)
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    images.save_pretrained(directory)
    save_head(parser.head, directory)
    return directory
