"""How long a person who has used up their tokens of a minute must wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.store.usage import UsedTokens
from web.chat.limits import minute_wait_s, used_in_window

_MINUTE = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def _at(second: float) -> datetime:
    return _MINUTE + timedelta(seconds=second)


def test_tokens_of_the_minute_before_fade() -> None:
    used = UsedTokens(today=150, this_minute=50, last_minute=100)

    assert used_in_window(used, _at(0)) == 150
    assert used_in_window(used, _at(30)) == 100


@pytest.mark.parametrize("limit", [0, 101])
def test_who_is_below_the_limit_does_not_wait(limit: int) -> None:
    assert minute_wait_s(UsedTokens(100, 100, 0), limit, _at(10)) == 0.0


def test_waits_until_enough_of_the_last_minute_has_faded() -> None:
    assert minute_wait_s(UsedTokens(150, 50, 100), 100, _at(0)) == pytest.approx(30)


def test_waits_into_the_next_minute_if_this_one_is_used_up() -> None:
    assert minute_wait_s(UsedTokens(200, 200, 0), 100, _at(30)) == pytest.approx(60)


@given(
    this_minute=st.integers(0, 10_000),
    last_minute=st.integers(0, 10_000),
    limit=st.integers(1, 5_000),
    second=st.floats(0, 59.9),
)
def test_after_the_wait_there_is_room_and_not_long_before(
    this_minute: int, last_minute: int, limit: int, second: float
) -> None:
    used, now = UsedTokens(0, this_minute, last_minute), _at(second)
    wait_s = minute_wait_s(used, limit, now)

    def used_after(seconds: float) -> float:
        then = now + timedelta(seconds=seconds)
        if then >= _at(60):
            used_then = UsedTokens(0, 0, this_minute) if then < _at(120) else UsedTokens(0, 0, 0)
            return used_in_window(used_then, then)
        return used_in_window(used, then)

    assert used_after(wait_s + 0.01) < limit + 1e-6
    if wait_s > 1:
        assert used_after(wait_s - 1) >= limit - 1e-6
