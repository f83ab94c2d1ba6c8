"""The arithmetic of waiting: free tries, doubling waits, a longest one, and a count that comes down by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.store.throttle import Tries
from web.auth.throttling import count_at, forgotten_at, one_more, wait_s

_NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
_FREE = 5
_LONGEST_S = 900.0


def _guessed(times: int) -> Tries:
    tries = Tries(0.0, _NOW)
    for _ in range(times):
        tries = one_more(tries, _NOW, _FREE)
    return tries


def test_the_first_five_tries_are_free() -> None:
    assert [wait_s(_guessed(times), _NOW, _FREE, _LONGEST_S) for times in range(5)] == [0.0] * 5


def test_then_each_waits_twice_as_long_up_to_the_longest_wait() -> None:
    waits = [wait_s(_guessed(times), _NOW, _FREE, _LONGEST_S) for times in range(5, 15)]

    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_a_wait_passes() -> None:
    tries = _guessed(8)

    assert wait_s(tries, _NOW + timedelta(seconds=15), _FREE, _LONGEST_S) == 25
    assert wait_s(tries, _NOW + timedelta(seconds=40), _FREE, _LONGEST_S) == 0


def test_who_has_many_tries_an_hour_waits_until_one_is_forgiven() -> None:
    tries = Tries(107.0, _NOW)

    assert wait_s(tries, _NOW, 100, _LONGEST_S) == 8 * 36


def test_the_count_comes_down_by_its_free_tries_an_hour() -> None:
    tries = Tries(7.0, _NOW)

    assert count_at(tries, _NOW + timedelta(hours=1), _FREE) == pytest.approx(2.0)
    assert count_at(tries, _NOW + timedelta(hours=2), _FREE) == 0.0
    assert forgotten_at(tries, _FREE) == _NOW + timedelta(minutes=84)


def test_a_clock_that_is_behind_forgives_nothing() -> None:
    assert count_at(Tries(3.0, _NOW), _NOW - timedelta(minutes=5), _FREE) == 3.0


@given(hours=st.integers(1, 48), pause_s=st.floats(0, 3600))
def test_nobody_guesses_more_often_than_the_free_tries_an_hour(hours: int, pause_s: float) -> None:
    """However the pauses are chosen: the free tries, those on the way to the longest wait, and then five an hour."""
    tries, at, guesses = Tries(0.0, _NOW), _NOW, 0
    end = _NOW + timedelta(hours=hours)
    while at < end:
        tries = one_more(tries, at, _FREE)
        guesses += 1
        at += timedelta(seconds=max(wait_s(tries, at, _FREE, _LONGEST_S), pause_s, 1e-3))

    assert guesses <= 15 + _FREE * hours
