"""Answer one prompt with a Hugging Face model, one token after the other, the same words on every run.

The random number of a token depends on nothing but the seed and the place of the token. It is slow and
plain: no batches, no queue. Serving has its own engine in `workers/`.
"""

from __future__ import annotations

import hashlib
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


def uniform(seed: int, index: int) -> float:
    """A number in [0, 1) for the token at `index`."""
    digest = hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def sample(logits: torch.Tensor, sampling: Sampling, index: int) -> int:
    """Draw a token from (V,) fp32 logits: temperature, top-k, top-p, then inverse CDF, likeliest first."""
    probabilities = torch.softmax(logits.double() / sampling.temperature, dim=-1)
    kept, order = probabilities.topk(min(sampling.top_k, len(probabilities)))
    before = kept.cumsum(0) - kept
    kept = kept[before < sampling.top_p * kept.sum()]
    target = uniform(sampling.seed, index) * float(kept.sum())
    place = int(torch.searchsorted(kept.cumsum(0), target, right=True))
    return int(order[min(place, len(kept) - 1)])


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
