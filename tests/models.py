"""A model for tests that need an answer to last: random weights, the reference tokenizer, and no end of words."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from shared.settings import REFERENCE_MODEL, Settings

_SHAPE: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}


def babbling_model(directory: Path, *, max_new_tokens: int, shape: dict[str, Any] = _SHAPE) -> Path:
    """A tiny Llama that always writes `max_new_tokens` tokens of Hangul nonsense, and nothing that is Markdown.

    The first hidden feature is the same everywhere, and the output layer reads it as "never" for all other tokens.
    """
    reference = Path(Settings(model=REFERENCE_MODEL).model_source)
    tokenizer = AutoTokenizer.from_pretrained(reference)
    texts = (str(tokenizer.decode([token])) for token in range(len(tokenizer)))
    unwanted = torch.tensor([not re.fullmatch(" ?[가-힣]+", text) for text in texts])
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
        **shape,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 1
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = 0
            layer.mlp.down_proj.weight[0] = 0
        model.lm_head.weight.mul_(50)
        model.lm_head.weight[:, 0] = torch.where(unwanted, -1000.0, 0.0)
    model.save_pretrained(directory)
    for path in reference.iterdir():
        if path.suffix in (".json", ".jinja") and path.name not in ("config.json", "generation_config.json"):
            shutil.copy(path, directory)
    defaults = {"max_new_tokens": max_new_tokens, "do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    (directory / "generation_config.json").write_text(json.dumps(defaults))
    return directory
