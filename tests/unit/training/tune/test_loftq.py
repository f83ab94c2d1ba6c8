"""LoftQ's start is nearer to the weights than quantising alone, with the scaling that the adapter has."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from bitsandbytes import functional as bits_and_bytes

from training.tune import loftq

SCALING = 2.0  # alpha / r of the usual recipe


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.randn(48, 80, generator=torch.Generator().manual_seed(3)) / 8


def error(weight: torch.Tensor, start: loftq.Start) -> float:
    return float((weight - start.quantised - SCALING * start.b @ start.a).norm())


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("iterations", [1, 5])
def test_the_start_is_nearer_than_quantised_weights_alone(
    bits: Literal[2, 4, 8], iterations: int, weight: torch.Tensor
) -> None:
    start = loftq.start(weight, bits=bits, rank=8, iterations=iterations, scaling=SCALING)

    assert error(weight, start) < 0.9 * float((weight - loftq.on_grid(weight, bits)).norm())
    assert start.a.shape == (8, 80)
    assert start.b.shape == (48, 8)


def test_more_turns_bring_it_nearer(weight: torch.Tensor) -> None:
    errors = [
        error(weight, loftq.start(weight, bits=4, rank=8, iterations=turns, scaling=SCALING)) for turns in (1, 3, 10)
    ]

    assert errors == sorted(errors, reverse=True)


def test_after_one_turn_the_weights_are_what_nf4_makes_of_them(weight: torch.Tensor) -> None:
    start = loftq.start(weight, bits=4, rank=8, iterations=1, scaling=SCALING)

    assert torch.equal(start.quantised, loftq.on_grid(weight, 4))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_what_is_on_the_grid_stays_there(bits: int, weight: torch.Tensor) -> None:
    once = loftq.on_grid(weight, bits)

    assert torch.equal(loftq.on_grid(once, bits), once)
    assert not torch.equal(once, weight)


def test_levels_are_those_of_nf4() -> None:
    levels: Any = bits_and_bytes.get_4bit_type
    assert torch.allclose(loftq.normal_levels(4), levels("nf4", device="cpu"), atol=1e-6)
    assert [len(set(loftq.normal_levels(bits).tolist())) for bits in (2, 8)] == [4, 256]
