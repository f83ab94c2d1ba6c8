"""Which turns of a long branch a page shows."""

from __future__ import annotations

import pytest

from tests.factories import generation
from web.chat.windowing import AT_ONCE, Window, window_of

_TURNS = [generation(id=f"{place:04}") for place in range(1000)]


def test_a_short_branch_is_shown_whole() -> None:
    assert window_of([]) == window_of(_TURNS[:AT_ONCE]) == Window(0, "")


def test_of_a_long_branch_the_last_turns_are_shown() -> None:
    assert window_of(_TURNS).start == 1000 - AT_ONCE == window_of(_TURNS, "unknown").start
    assert window_of(_TURNS, "0999") == window_of(_TURNS)


@pytest.mark.parametrize("wanted", [0, 3, 500, 960])
def test_a_wanted_turn_is_shown_with_some_before_it(wanted: int) -> None:
    window = window_of(_TURNS, f"{wanted:04}")

    assert max(0, wanted - 10) <= window.start <= wanted
    assert bool(window.earlier_id) is bool(window.start)


def test_asking_for_earlier_ones_again_and_again_reaches_the_first() -> None:
    window, steps = window_of(_TURNS), 0
    while window.earlier_id:
        earlier = window_of(_TURNS, window.earlier_id)
        assert 0 < window.start - earlier.start <= AT_ONCE
        window, steps = earlier, steps + 1

    assert window.start == 0
    assert steps == 1000 // AT_ONCE
