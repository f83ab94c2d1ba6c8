"""Answer one prompt with a Hugging Face model, one token after the other, the same words on every run.

The noise of a token depends on nothing but the seed, the place and the token. It is slow and plain: no batches, no
queue. Serving has its own engine in `workers/`, with the same rule.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from shared.chat import Message, Role
from shared.prompting import prompt_ids
from training.config import Sampling


@dataclass(frozen=True)
class Answer:
    """What the model said; `ended` is False when it was cut at the limit."""

    text: str
    tokens: int
    ended: bool


def gumbel(seed: int, index: int, token: int) -> float:
    """The noise of one token at one place: SplitMix64 at a hash of seed and place, then the standard Gumbel law."""
    start = int.from_bytes(hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest(), "big")
    bits = (start + token * 0x9E3779B97F4A7C15) % 2**64
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % 2**64
    bits ^= bits >> 31
    return -math.log(-math.log(((bits >> 11) + 0.5) / 2**53))


def sample(logits: torch.Tensor, sampling: Sampling, index: int) -> int:
    """Draw a token from (V,) fp32 logits: temperature, top-k, top-p, then the greatest score with Gumbel noise."""
    scores, order = (logits.double() / sampling.temperature).topk(min(sampling.top_k, len(logits)))
    weights = torch.softmax(scores, dim=-1)
    kept = weights.cumsum(0) - weights < sampling.top_p
    noisy = {
        token: score + gumbel(sampling.seed, index, token)
        for token, score, is_kept in zip(order.tolist(), scores.tolist(), kept.tolist(), strict=True)
        if is_kept
    }
    return int(max(noisy, key=noisy.__getitem__))


@torch.inference_mode()
def answer(
    model: PreTrainedModel,
    tokenizer: Any,
    prompt: str,
    sampling: Sampling,
) -> Answer:
    """The model's answer to a single message."""
    ids = prompt_ids([Message(Role.USER, prompt)], tokenizer)
    step = torch.tensor([ids])
    cache = None
    written: list[int] = []
    while len(written) < sampling.max_new_tokens:
        output = model(input_ids=step, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        token = sample(output.logits[0, -1].float(), sampling, len(written))
        if token == tokenizer.eos_token_id:
            return Answer(str(tokenizer.decode(written)).strip(), len(written), True)
        written.append(token)
        step = torch.tensor([[token]])
    return Answer(str(tokenizer.decode(written)).strip(), len(written), False)
