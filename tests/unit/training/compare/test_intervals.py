"""Intervals hold the truth about as often as they say, and pairing sees what columns apart do not."""

from __future__ import annotations

import numpy as np
import pytest

from training.compare.intervals import difference, interval, mean_of, ratio_of


def test_the_number_is_that_of_all_rows() -> None:
    found = interval(ratio_of([2, 4, 6], [1, 1, 2]), seed=1, resamples=200)

    assert (found.value, found.rows) == (3.0, 3)
    assert 2.0 <= found.low <= 3.0 <= found.high <= 4.0


def test_the_same_seed_gives_the_same_interval() -> None:
    measured = mean_of([0.1, 3.7, 2.2, 9.1, 5.3, 7.7])

    assert interval(measured, 7, 300) == interval(measured, 7, 300)
    assert interval(measured, 7, 300) != interval(measured, 8, 300)


def test_about_95_of_100_intervals_hold_the_truth() -> None:
    draw = np.random.default_rng(3)
    found = [interval(mean_of(draw.normal(5, 2, 60).tolist()), seed, 400) for seed in range(200)]

    assert 0.88 <= np.mean([each.low <= 5 <= each.high for each in found]) <= 0.99


def test_pairing_sees_a_small_difference_between_rows_that_vary_much() -> None:
    hard = np.random.default_rng(5).normal(0, 10, 50)
    one, other = mean_of((hard + 0.1).tolist()), mean_of(hard.tolist())

    apart = difference(one, other, seed=1, resamples=500)

    assert apart.value == pytest.approx(0.1)
    assert apart.low > 0
    assert interval(one, 1, 500).low < interval(other, 1, 500).high


def test_rows_that_are_not_the_same_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="2 rows cannot be paired with 1"):
        difference(mean_of([1, 2]), mean_of([1]), 1, 100)
    with pytest.raises(ValueError, match="no rows"):
        interval(mean_of([]), 1, 100)
