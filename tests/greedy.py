"""The oracle of the engine's tests: what the library's own `generate` says, greedily, of a prompt alone."""

from __future__ import annotations

from typing import Any

import torch

from tests.tiny_models import END

CLOSE_CALL = 1e-4  # two logits this near may change places when sums are formed in another order
close_calls: list[float] = []  # the first differences that `assert_greedy` let pass; conftest.py tells how many


@torch.inference_mode()
def greedy(
    model: Any,
    prompt: list[int],
    max_new_tokens: int,
    *,
    repetition_penalty: float = 1.0,
    pictures: torch.Tensor | None = None,
) -> list[int]:
    """The new tokens. `model` is a Hugging Face one that generates; `pictures` (count, 3, height, width)."""
    output = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        do_sample=False,
        max_new_tokens=max_new_tokens,
        repetition_penalty=repetition_penalty,
        eos_token_id=END,
        pad_token_id=0,
        **_shown(pictures),
    )
    answer: list[int] = output[0, len(prompt) :].tolist()
    return answer


@torch.inference_mode()
def assert_greedy(
    model: Any,
    prompt: list[int],
    tokens: list[int],
    max_new_tokens: int = 24,
    *,
    rounding: float = 0.0,
    pictures: torch.Tensor | None = None,
) -> bool:
    """`tokens` are what `generate` gives. Returns whether they are all the same: a first difference is allowed where
    the best two logits are a close call, or nearer than `rounding` of the largest."""
    expected = greedy(model, prompt, max_new_tokens, pictures=pictures)
    if tokens == expected:
        return True
    first = next(place for place in range(len(expected)) if tokens[place : place + 1] != expected[place : place + 1])
    logits = model(torch.tensor([[*prompt, *expected[:first]]]), **_shown(pictures)).logits[0, -1].float()
    best, second = logits.topk(2).values.tolist()
    assert best - second < max(CLOSE_CALL, rounding * logits.abs().max().item()), (
        f"differs at token {first}: {tokens} instead of {expected}"
    )
    close_calls.append(best - second)
    return False


def _shown(pictures: torch.Tensor | None) -> dict[str, torch.Tensor]:
    return {} if pictures is None else {"pixel_values": pictures}
