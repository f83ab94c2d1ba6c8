"""The scene parser: targets and readings are each other's inverse, and a tiny parser learns."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import SiglipVisionConfig

from vision.parser.glances import GLANCES, look, read
from vision.parser.model import Reading, SceneParser, loss
from vision.parser.reading import objects_of
from vision.parser.targets import SLOTS, Targets, collate, rows
from vision.pixels import as_pixels, image_processor, normalised
from vision.reader import HEAD_FILE, SceneReader
from vision.reasoning.listing import from_left, listing
from vision.scenes.dataset import Example, Split
from vision.scenes.vocabulary import ATTRIBUTES, VALUES

GRID = 8


def _sure_of(targets: Targets) -> Reading:
    """What a parser without fault would say."""
    batch, count = targets.place.shape
    cells = GRID * GRID * SLOTS
    presence = torch.full((batch, cells), -9.0)
    attributes = [torch.zeros(batch, cells, len(VALUES[a])) for a in ATTRIBUTES]
    box, where = torch.zeros(batch, cells, 4), torch.zeros(batch, cells, 2)
    for b in range(batch):
        for n in range(count):
            if targets.real[b, n]:
                cell = targets.place[b, n]
                presence[b, cell] = 9
                box[b, cell], where[b, cell] = targets.box[b, n], targets.where[b, n]
                for number, logits in enumerate(attributes):
                    logits[b, cell, targets.values[b, n, number]] = 9
    return Reading(presence, tuple(attributes), box, where)


def test_a_faultless_reading_gives_the_scene_back(by_split: dict[Split, list[Example]]) -> None:
    scenes = [e.scene for e in by_split["test"]]
    read = objects_of(_sure_of(collate([rows(s, GRID) for s in scenes], [False] * len(scenes), GRID)), 96)

    for scene, found in zip(scenes, read, strict=True):
        assert listing([f.thing for f in found], 96) == listing(scene.objects, 96)
        assert [f.thing.box for f in found] == [o.box for o in from_left(scene.objects)]
        assert all(f.sureness > 0.99 for f in found)


def test_a_mirror_turns_left_and_right_alone(by_split: dict[Split, list[Example]]) -> None:
    scenes = [e.scene for e in by_split["test"]]
    tables = [rows(s, GRID) for s in scenes]
    read = objects_of(_sure_of(collate(tables, [True] * len(scenes), GRID)), 96)

    for scene, found in zip(scenes, read, strict=True):
        mirrored = [(o.colour, o.shape, (96 - o.box[2], o.box[1], 96 - o.box[0], o.box[3])) for o in scene.objects]
        assert sorted((f.thing.colour, f.thing.shape, f.thing.box) for f in found) == sorted(mirrored)
        assert [f.thing.colour for f in found] == [o.colour for o in reversed(from_left(scene.objects))]


def test_two_in_one_cell_are_both_kept() -> None:
    reading = Reading(
        torch.tensor([[5.0, 4.0, -9.0, 5.0]]),
        tuple(torch.zeros(1, 4, len(VALUES[a])) for a in ATTRIBUTES),
        torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.1, 0.5, 0.6, 1.0], [0, 0, 1, 1], [0.01, 0.0, 0.5, 0.5]]]),
        torch.tensor([[[0.2, 1.0], [0.3, 2.0], [0, 0], [0.21, 1.0]]]),
    )

    (found,) = objects_of(reading, 100)

    assert [f.thing.box for f in found] == [(0, 0, 50, 50), (10, 50, 60, 100)]  # the fourth is the first seen again


class _Corner(SceneParser):
    """Sees the bright things of a picture just as they are: one candidate a cell, for the thing whose middle it has."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    @property
    def patch_size(self) -> int:
        return 16

    def forward(self, pixels: torch.Tensor) -> Reading:
        cells = 4
        presence = torch.full((len(pixels), cells * cells, SLOTS), -30.0)
        box = torch.zeros(len(pixels), cells * cells, SLOTS, 4)
        for number, picture in enumerate(pixels[:, 0]):
            ys, xs = (picture > 0).nonzero(as_tuple=True)
            edges = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / picture.shape[0]
            column, row = ((edges[:2] + edges[2:]) / 2 * cells).long().tolist()
            presence[number, row * cells + column, 0] = 30
            box[number, row * cells + column, 0] = edges
        flat = box.flatten(1, 2)
        count = cells * cells * SLOTS
        where = torch.stack([(flat[..., 0] + flat[..., 2]) / 2, torch.ones(len(pixels), count)], -1)
        values = tuple(torch.zeros(len(pixels), count, len(VALUES[a])) for a in ATTRIBUTES)
        return Reading(presence.flatten(1), values, flat, where)


@pytest.mark.parametrize("corner", [(20, 30), (26, 10), (8, 8), (5, 37)])
def test_all_glances_see_a_thing_where_it_is(corner: tuple[int, int]) -> None:
    """Also where some have it in another cell; another picture beside it changes nothing."""
    x, y = corner
    pixels = torch.zeros(2, 3, 64, 64)
    pixels[0, :, y : y + 12, x : x + 12] = 1
    pixels[1, :, 40:50, 44:54] = 1

    (first,), (second,) = objects_of(look(_Corner(), pixels), 64, glances=GLANCES)

    assert first.thing.box == (x, y, x + 12, y + 12) and second.thing.box == (44, 40, 54, 50)
    assert first.thing.position[0] == pytest.approx(x + 6, abs=1e-3)
    assert first.sureness == pytest.approx(second.sureness) and first.thing.position[2] == second.thing.position[2]


def test_a_shape_is_told_from_grey_too_and_all_else_from_colours() -> None:
    class Guessing(_Corner):
        def forward(self, pixels: torch.Tensor) -> Reading:
            reading = super().forward(pixels)
            is_grey = bool((pixels[:, 0] == pixels[:, 1]).all())
            for attribute, logits in zip(ATTRIBUTES, reading.attributes, strict=True):
                logits[..., 1 if is_grey else 0] = 5 if is_grey and attribute == "shape" else 3
            return reading

    pixels = torch.zeros(1, 3, 64, 64)
    pixels[0, 0, 20:30, 20:30] = 1
    parser = Guessing()

    ((in_colours,),) = objects_of(look(parser, pixels), 64, glances=GLANCES)
    ((found,),) = read(parser, pixels, 64)

    assert in_colours.thing.shape == VALUES["shape"][0] and found.thing.shape == VALUES["shape"][1]
    assert found.thing.box == in_colours.thing.box
    for attribute in set(ATTRIBUTES) - {"shape"}:
        assert getattr(found.thing, attribute) == VALUES[attribute][0]


def test_what_few_glances_see_is_not_there() -> None:
    class Doubtful(_Corner):
        def forward(self, pixels: torch.Tensor) -> Reading:
            reading = super().forward(pixels)
            reading.presence[GLANCES // 2 - 1 :] = -30
            return reading

    pixels = torch.zeros(1, 3, 64, 64)
    pixels[0, :, 20:30, 20:30] = 1

    assert objects_of(look(Doubtful(), pixels), 64, glances=GLANCES) == [[]]


@pytest.fixture
def tiny_parser() -> SceneParser:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    return SceneParser(SiglipVisionConfig(**sizes, image_size=96, patch_size=12, vision_use_head=False))


def test_a_parser_learns(tiny_parser: SceneParser, by_split: dict[Split, list[Example]]) -> None:
    part = by_split["train"][:16]
    pixels = normalised(torch.stack([torch.from_numpy(e.pixels) for e in part]).numpy())
    targets = collate([rows(e.scene, GRID) for e in part], [False] * len(part), GRID)
    optimizer = torch.optim.AdamW(tiny_parser.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        value = loss(tiny_parser(pixels), targets)
        value.backward()  # type: ignore[no-untyped-call]  # torch
        optimizer.step()
        losses.append(value.item())

    assert losses[-1] < 0.6 * losses[0]


def test_pixels_are_those_of_the_image_processor() -> None:
    rng = random.Random(0)
    picture = Image.frombytes("RGB", (150, 110), rng.randbytes(150 * 110 * 3))

    wanted = image_processor(96)([picture], return_tensors="pt")["pixel_values"]

    assert (normalised(as_pixels(picture, 96)[None]) - wanted).abs().max() < 1e-5


def test_a_folder_without_a_head_has_no_reader(tmp_path: Path) -> None:
    assert not (tmp_path / HEAD_FILE).exists()
    assert SceneReader.from_folder(tmp_path) is None
