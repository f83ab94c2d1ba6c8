"""Small pictures of numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from web.operators.sparkline import HEIGHT, WIDTH, lines


def test_nothing_is_drawn_of_nothing() -> None:
    assert lines([]) == []
    assert lines([None, None]) == []


def test_a_line_rises_to_the_top_with_its_greatest_value() -> None:
    assert lines([0.0, 5.0, 10.0]) == ["2.0,34.0 90.0,18.0 178.0,2.0"]


def test_zeros_lie_on_the_ground() -> None:
    assert lines([0.0, 0.0]) == ["2.0,34.0 178.0,34.0"]


def test_what_was_not_measured_is_a_gap() -> None:
    assert lines([1.0, None, 1.0, 1.0]) == ["2.0,2.0 4.0,2.0", "119.3,2.0 178.0,2.0"]


@given(st.lists(st.none() | st.floats(0, 1e9), max_size=200))
def test_everything_is_inside(values: list[float | None]) -> None:
    for line in lines(values):
        for point in line.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT
