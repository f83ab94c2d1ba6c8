"""What people said of two versions, as one number that no single person decides."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.comparisons import Choice, Comparison
from shared.ids import new_id
from web.comparing.win_rates import WinRate, wilson, win_rates

ONE = "wall@111111111111"


def _compared(user_id: str, choice: Choice | None, left: str | None = ONE, right: str | None = None) -> Comparison:
    return Comparison(new_id(), user_id, "질문", left, right, datetime.now(UTC), choice)


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [(81, 263, (0.2553, 0.3662)), (0, 20, (0.0000, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_the_interval_is_wilsons(successes: int, trials: int, expected: tuple[float, float]) -> None:
    """Method 3 in Table I of R. G. Newcombe, Statistics in Medicine 17 (1998)."""
    assert wilson(successes / trials, trials) == pytest.approx(expected, abs=5e-5)


def test_wins_are_counted_for_a_version_wherever_it_stood() -> None:
    rows = [_compared("u", Choice.LEFT), _compared("v", Choice.LEFT, left=None, right=ONE), _compared("w", None)]

    (found,) = win_rates(rows)

    assert (found.one, found.other, found.wins, found.losses, found.votes, found.people) == (ONE, None, 1, 1, 2, 2)
    assert found.rate == 0.5


def test_one_person_has_one_voice_however_often_they_choose() -> None:
    rows = [_compared("eager", Choice.LEFT) for _ in range(98)] + [_compared("calm", Choice.RIGHT)]

    (found,) = win_rates(rows)

    assert (found.wins, found.losses, found.people, found.rate) == (98, 1, 2, 0.5)
    assert (found.low, found.high) == pytest.approx(wilson(0.5, 2))


def test_a_tie_is_half_a_win_and_so_is_neither() -> None:
    (found,) = win_rates([_compared("u", Choice.SAME), _compared("v", Choice.BAD), _compared("w", Choice.LEFT)])

    assert (found.wins, found.losses, found.same, found.bad) == (1, 0, 1, 1)
    assert found.rate == pytest.approx(2 / 3)


def test_every_two_versions_stand_alone() -> None:
    other = "wall@222222222222"
    rows = [_compared("u", Choice.LEFT), _compared("u", Choice.LEFT, other, ONE), _compared("u", Choice.LEFT, other)]

    assert [(each.one, each.other) for each in win_rates(rows)] == [(ONE, None), (other, None), (other, ONE)]


def test_without_a_choice_there_is_nothing_to_tell() -> None:
    assert win_rates([_compared("u", None)]) == list[WinRate]()
