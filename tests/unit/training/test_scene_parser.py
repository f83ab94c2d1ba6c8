"""What is done to a picture's colours so that shapes are not guessed from them."""

from __future__ import annotations

import numpy as np

from training.scene_parser import greyed, turned

_COLOURS = np.array([[[200, 60, 60], [60, 200, 60], [60, 60, 200], [120, 120, 120]]], np.uint8)


def test_turned_hues_are_others_and_as_bright_and_grey_stays_grey() -> None:
    angles = [turned(_COLOURS, seed) for seed in range(20)]

    for picture in angles:
        assert abs(picture.mean(-1) - _COLOURS.mean(-1)).max() <= 1.5
        assert np.ptp(picture[0, 3]) <= 1 and abs(int(picture[0, 3, 0]) - 120) <= 1
    assert len({tuple(p[0, 0]) for p in angles}) == 20
    assert {int(p[0, 0].argmax()) for p in angles} == {0, 1, 2}


def test_a_grey_picture_has_no_colour_and_filters_differ() -> None:
    pictures = [greyed(_COLOURS, seed) for seed in range(5)]

    assert all((np.ptp(p, -1) == 0).all() for p in pictures)
    assert len({tuple(p[0, :, 0]) for p in pictures}) == 5
