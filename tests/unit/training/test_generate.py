"""The same seed says the same words."""

from __future__ import annotations

import math
import statistics

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from training.config import Sampling
from training.generate import answer, gumbel, sample


def test_noise_depends_on_seed_place_and_token_and_is_standard_gumbel() -> None:
    values = [gumbel(20260101, index, token) for index in range(100) for token in range(100)]

    assert len(set(values)) == 10_000
    assert abs(statistics.fmean(values) - 0.5772) < 0.04  # Euler's constant
    assert abs(statistics.pvariance(values) - math.pi**2 / 6) < 0.08


def test_sampling_follows_the_probabilities() -> None:
    logits = torch.log(torch.tensor([0.1, 0.6, 0.3]))
    sampling = Sampling(temperature=1.0, top_p=1.0, top_k=3)

    drawn = [sample(logits, sampling, index) for index in range(3000)]

    for token, share in enumerate((0.1, 0.6, 0.3)):
        assert abs(drawn.count(token) / 3000 - share) < 0.04


def test_top_k_and_top_p_cut_the_tail() -> None:
    logits = torch.log(torch.tensor([0.1, 0.6, 0.3]))

    by_count = {sample(logits, Sampling(temperature=1.0, top_p=1.0, top_k=2), i) for i in range(300)}
    by_mass = {sample(logits, Sampling(temperature=1.0, top_p=0.5, top_k=3), i) for i in range(300)}

    assert by_count == {1, 2}
    assert by_mass == {1}


def test_answer_is_repeatable_and_keeps_its_limit(
    tiny_model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    sampling = Sampling(max_new_tokens=5)

    tiny_model.train(False)

    first = answer(tiny_model, tokenizer, "안녕?", sampling)

    assert first == answer(tiny_model, tokenizer, "안녕?", sampling)
    assert first.tokens <= 5
    assert first.ended or first.tokens == 5
