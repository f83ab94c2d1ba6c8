"""What a model answers to rows of conversations: greedy, in batches, by transformers' own `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from shared.chat import Message, Role
from shared.prompting import FALLBACK_STOP, prompt_ids


def answers(
    model: Any, tokenizer: Any, asked: Sequence[Sequence[Message]], *, instruction: str, batch: int, max_new_tokens: int
) -> list[str]:
    """One text for each conversation, without what ends it: of a base without a chat template, the first turn of those
    it goes on with. The instruction is a system turn before all others."""
    begins = [Message(Role.SYSTEM, instruction)] if instruction else []
    prompts = [prompt_ids([*begins, *turns], tokenizer) for turns in asked]
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    made: dict[int, str] = {}
    for begin in range(0, len(order), batch):
        places = order[begin : begin + batch]
        said = _said(model, tokenizer, [prompts[place] for place in places], max_new_tokens)
        made |= dict(zip(places, said, strict=True))
    return [made[place] for place in range(len(prompts))]


@torch.inference_mode()
def _said(model: Any, tokenizer: Any, prompts: Sequence[list[int]], max_new_tokens: int) -> list[str]:
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):  # on the left, so that all answers begin at the same place
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    written = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    texts = tokenizer.batch_decode(written[:, longest:], skip_special_tokens=True)
    return [(text if tokenizer.chat_template else text.partition(FALLBACK_STOP)[0]).strip() for text in texts]
