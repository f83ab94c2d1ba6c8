"""How likely the model held the tokens it was asked about: its own distribution, before penalties, grammar and
temperature, so that figures of different requests compare."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from workers.engine.base import Logprobs


def logprobs_of(logits: torch.Tensor, chosen: Sequence[int | None], counts: Sequence[int]) -> list[Logprobs]:
    """For each row of `logits` (rows, vocab): its chosen token's logprob, and the `counts` likeliest, ties by id.

    A row of which nothing was chosen gets any figures: nobody reads them."""
    logprobs = logits.log_softmax(dim=-1)
    ids_of_chosen = torch.tensor([token or 0 for token in chosen], device=logits.device)
    of_chosen = logprobs.gather(-1, ids_of_chosen[:, None])[:, 0].tolist()
    top = logprobs.topk(min(max(counts), logits.shape[-1]), dim=-1)
    ranked = (
        sorted(zip(ids, values, strict=True), key=lambda token: (-token[1], token[0]))
        for ids, values in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    )
    return [
        Logprobs(value, tuple((token, logprob) for token, logprob in tokens[:count] if logprob > float("-inf")))
        for value, tokens, count in zip(of_chosen, ranked, counts, strict=True)
    ]
