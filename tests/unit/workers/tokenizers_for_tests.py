"""Small real tokenizers of the two families that split characters into bytes."""

from __future__ import annotations

import functools
import json
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

_SENTENCES = ["안녕하세요 반갑습니다", "오늘 날씨가 좋네요!", "Hello 세계 😀 가족 👨‍👩‍👧", "ㅋㅋㅋ 정말요? 日本語"] * 20


_make: Any = PreTrainedTokenizerFast  # its constructor is untyped


@functools.cache
def byte_level() -> Any:  # a PreTrainedTokenizerFast, whose own types also cover batches
    """GPT-2 style: every token is a piece of UTF-8, characters may be cut anywhere."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<|pad|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_SENTENCES, trainer)
    return _make(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>")


@functools.cache
def byte_fallback() -> Any:
    """Llama style: whole characters, spaces as U+2581, and single bytes for characters it does not know."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_SENTENCES[:2] * 20, trainer)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = state["added_tokens"][:3]  # bytes are ordinary tokens, only the trainer knows it otherwise
    tokenizer = Tokenizer.from_str(json.dumps(state))
    return _make(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>")
