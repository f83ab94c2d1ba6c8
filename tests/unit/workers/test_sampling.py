"""The choice depends on (logits, seed, index) alone, and is what the rule says, written out slowly."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

import training.generate
from training.config import Sampling
from workers.engine.sampling import Draw, choose, gumbel

VOCABULARY = 700


def slow_choice(logits: list[float], draw: Draw) -> int:
    """The rule of workers/engine/sampling.py, one token after the other."""
    order = sorted(range(len(logits)), key=lambda token: (-logits[token], token))
    if draw.temperature == 0:
        return order[0]
    if draw.top_k:
        last = logits[order[min(draw.top_k, len(order)) - 1]]
        order = [token for token in order if logits[token] >= last]
    weights = [math.exp((logits[token] - logits[order[0]]) / draw.temperature) for token in order]
    kept, total, before = 0, math.fsum(weights), 0.0
    while kept < len(order) and (kept == 0 or before < draw.top_p * total):
        before += weights[kept]
        kept += 1
    return max(
        [token for token, weight in zip(order[:kept], weights, strict=False) if weight >= draw.min_p],
        key=lambda token: logits[token] / draw.temperature + training.generate.gumbel(draw.seed, draw.index, token),
    )


_DRAWS = st.builds(
    Draw,
    temperature=st.sampled_from([0.0, 0.2, 0.7, 1.0, 2.5]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 0.99, 1.0]),
    top_k=st.sampled_from([0, 1, 5, 50, 400, 5000]),
    seed=st.integers(0, 2**63 - 1),
    index=st.integers(0, 2000),
    min_p=st.sampled_from([0.0, 0.0, 0.001, 0.1, 0.7, 1.0]),
)


def _logits(rows: int, seed: int, scale: float, coarse: bool) -> torch.Tensor:
    logits = torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * scale
    return (logits * 2).round() / 2 if coarse else logits  # coarse ones have many ties, as bfloat16 has


@settings(max_examples=300, deadline=None)
@given(
    draws=st.lists(_DRAWS, min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([0.1, 1.0, 4.0]),
    coarse=st.booleans(),
)
def test_the_choice_follows_the_rule_and_does_not_depend_on_the_batch(
    draws: list[Draw], seed: int, scale: float, coarse: bool
) -> None:
    logits = _logits(len(draws), seed, scale, coarse)

    together = choose(logits, draws)

    assert together == [choose(logits[row : row + 1], [draw])[0] for row, draw in enumerate(draws)]
    assert together == [slow_choice(logits[row].double().tolist(), draw) for row, draw in enumerate(draws)]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), index=st.integers(0, 500))
def test_the_model_card_draws_like_the_worker(seed: int, index: int) -> None:
    logits = _logits(1, seed % 97, 3.0, coarse=False)
    draw = Draw(0.7, 0.9, 50, seed, index)

    card = training.generate.sample(
        logits[0], Sampling(temperature=0.7, top_p=0.9, top_k=50, max_new_tokens=10, seed=seed), index
    )

    assert choose(logits, [draw]) == [card]


def test_the_noise_is_the_documented_one() -> None:
    tokens = np.array([0, 1, 24_575, 262_143])

    noise = gumbel(2**63 - 1, 17, tokens)

    assert noise.tolist() == pytest.approx(
        [training.generate.gumbel(2**63 - 1, 17, token) for token in tokens.tolist()]
    )
    assert len({*noise.tolist(), *gumbel(0, 17, tokens).tolist(), *gumbel(2**63 - 1, 18, tokens).tolist()}) == 12


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (0, 0.5), (2000, 0.9)])
def test_rounding_hardly_ever_changes_a_choice(top_k: int, top_p: float) -> None:
    """Batches and devices add in different orders; an answer that another worker continues must still be the same."""
    chance = torch.Generator().manual_seed(5)
    logits = torch.randn(100, 5000, generator=chance) * 0.3  # flat: thousands of tokens are as likely as the best
    rounded = logits + torch.randn(logits.shape, generator=chance) * 1e-5
    changed = 0
    for place in range(20):
        draws = [Draw(1.0, top_p, top_k, row, place) for row in range(len(logits))]
        pairs = zip(choose(logits, draws), choose(rounded, draws), strict=True)
        changed += sum(token != other for token, other in pairs)

    assert changed <= 2  # of 2,000


def test_tokens_come_as_often_as_they_are_likely() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))

    drawn = Counter(choose(logits, [Draw(1.0, 1.0, 0, 7, index)])[0] for index in range(4000))

    assert [drawn[token] / 4000 for token in range(4)] == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)


def test_greedy_ties_go_to_the_lowest_id() -> None:
    assert choose(torch.tensor([[1.0, 3.0, 3.0, 0.0]]), [Draw(0.0, 1.0, 0, 1, 1)]) == [1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_give_no_token_and_leave_the_others_alone(bad: float) -> None:
    logits = torch.tensor([[0.0, bad, 1.0], [0.0, 5.0, 1.0]])

    assert choose(logits, [Draw(1.0, 0.9, 2, 1, 1), Draw(0.0, 1.0, 0, 1, 1)]) == [None, 1]


@pytest.mark.parametrize("top_p", [0.6, 1.0])
@pytest.mark.parametrize("top_k", [0, 40])
def test_what_may_be_drawn_is_what_transformers_leaves(top_k: int, top_p: float) -> None:
    logits = _logits(1, 3, 2.0, coarse=False)
    warpers = [TemperatureLogitsWarper(1.5), *([TopKLogitsWarper(top_k)] if top_k else []), MinPLogitsWarper(0.2)]
    if top_p < 1:
        warpers.insert(-1, TopPLogitsWarper(top_p))
    left = logits
    for warper in warpers:
        left = warper(torch.empty(1, 0, dtype=torch.long), left)

    drawn = {choose(logits, [Draw(1.5, top_p, top_k, 7, index, 0.2)])[0] for index in range(1000)}

    assert drawn == set(left.isfinite()[0].nonzero()[:, 0].tolist())


def test_a_min_p_of_nearly_nothing_is_none() -> None:
    logits = _logits(1, 5, 4.0, coarse=False)
    for index in range(50):
        assert choose(logits, [Draw(1.0, 0.9, 50, 1, index, 1e-30)]) == choose(logits, [Draw(1.0, 0.9, 50, 1, index)])


def test_tokens_the_model_forbids_are_never_drawn() -> None:
    logits = torch.full((1, 100), float("-inf"))
    logits[0, 42] = 1.0

    assert choose(logits, [Draw(1.0, 1.0, 50, 3, 4)]) == [42]
    assert choose(logits, [Draw(1.0, 0.9, 0, 3, 4)]) == [42]
    assert choose(logits, [Draw(1.0, 1.0, 0, 3, 4, 0.1)]) == [42]
