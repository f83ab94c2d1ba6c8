"""What is written about a picture is what the picture shows."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from numpy.typing import NDArray

from vision.scenes.dataset import MAX_SIZE, Example, Split, make_example
from vision.scenes.layout import DEPTH_MARGIN, MIN_VISIBLE, SIDE_MARGIN
from vision.scenes.looks import COLOURS


def vivid(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels that no floor can have: strongly coloured."""
    levels = pixels.astype(int)
    return np.asarray(levels.max(axis=2) - levels.min(axis=2) > 64)


def all_examples(by_split: dict[Split, list[Example]]) -> list[Example]:
    return [example for made in by_split.values() for example in made]


def test_vivid_pixels_lie_inside_boxes(by_split: dict[Split, list[Example]]) -> None:
    for example in all_examples(by_split):
        outside = vivid(example.pixels)
        for thing in example.scene.objects:
            left, top, right, bottom = thing.box
            outside[top:bottom, left:right] = False

        assert not outside.any(), example.scene.id


def test_boxes_fit_tightly(by_split: dict[Split, list[Example]]) -> None:
    """Objects that nothing hides, in colours that stand out: their pixels reach all four sides, give or take the
    pixels that an edge shares with the floor."""
    checked = 0
    for example in all_examples(by_split):
        coloured = vivid(example.pixels)
        for thing in example.scene.objects:
            left, top, right, bottom = thing.box
            overlaps = any(
                o.id != thing.id and o.box[0] < right and o.box[2] > left and o.box[1] < bottom and o.box[3] > top
                for o in example.scene.objects
            )
            if overlaps or thing.material == "metal" or thing.colour not in ("red", "orange", "yellow"):
                continue
            rows, columns = np.nonzero(coloured[top:bottom, left:right])
            gaps = columns.min(), rows.min(), right - left - 1 - columns.max(), bottom - top - 1 - rows.max()
            assert max(gaps) <= 2, (example.scene.id, thing)
            checked += 1

    assert checked > 20


def test_the_middle_of_a_box_shows_the_colour_of_its_object(by_split: dict[Split, list[Example]]) -> None:
    """Rubber in full view, by hue."""
    checked = 0
    for example in by_split["train"]:
        for thing in example.scene.objects:
            if thing.visible < 0.99 or thing.material == "metal" or thing.colour == "grey" or thing.shape == "torus":
                continue
            left, top, right, bottom = thing.box
            pixel = example.pixels[(top + bottom) // 2, (left + right) // 2]
            hue = colorsys.rgb_to_hsv(*(pixel / 255.0))[0]
            expected = colorsys.rgb_to_hsv(*(level / 255 for level in COLOURS[thing.colour]))[0]
            assert abs((hue - expected + 0.5) % 1 - 0.5) < 0.06, (example.scene.id, thing)
            checked += 1

    assert checked > 50


def test_every_object_is_seen_and_apart_from_the_others(by_split: dict[Split, list[Example]]) -> None:
    for example in all_examples(by_split):
        things = example.scene.objects
        assert 3 <= len(things) <= 10
        across = sorted(thing.position[0] / example.scene.size for thing in things)
        along = sorted(thing.position[2] for thing in things)

        assert min(thing.visible for thing in things) >= MIN_VISIBLE
        assert min(np.diff(across)) >= SIDE_MARGIN - 1e-3
        assert min(np.diff(along)) >= DEPTH_MARGIN - 2e-3


def test_metal_and_rubber_do_not_look_the_same(by_split: dict[Split, list[Example]]) -> None:
    """Metal has strong light and dark inside its box, seen on spheres that nothing hides."""
    spread: dict[str, list[float]] = {"metal": [], "rubber": []}
    for example in by_split["train"]:
        for thing in example.scene.objects:
            if thing.shape == "sphere" and thing.visible == 1 and thing.size == "large":
                left, top, right, bottom = thing.box
                inner = example.pixels[top + 4 : bottom - 4, left + 4 : right - 4].astype(float)
                spread[thing.material].append(float(np.abs(np.diff(inner.mean(axis=2), axis=0)).mean()))

    assert np.mean(spread["metal"]) > 1.3 * np.mean(spread["rubber"])


@pytest.mark.parametrize("index", range(4))
def test_a_larger_picture_shows_the_same_scene(index: int) -> None:
    small, large = make_example(5, index, "test", 96), make_example(5, index, "test", MAX_SIZE)

    assert large.pixels.shape == (MAX_SIZE, MAX_SIZE, 3)
    assert [q.question for q in small.questions] == [q.question for q in large.questions]
    for one, other in zip(small.scene.objects, large.scene.objects, strict=True):
        assert (one.shape, one.colour, one.visible) == (other.shape, other.colour, other.visible)
        assert np.allclose(np.array(one.box) * MAX_SIZE / 96, other.box, atol=3.5)
