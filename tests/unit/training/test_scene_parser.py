"""What is done to a picture's colours so that shapes are not guessed from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.config import EncoderShape, Optimizer, ParserRecipe
from training.scene_parser import SceneBatches, greyed, turned
from vision.scenes.dataset import examples, write

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


def test_a_picture_is_recoloured_otherwise_each_time(tmp_path: Path) -> None:
    list(write(tmp_path, examples(3, 1, "train", 96)))
    recipe = ParserRecipe(
        name="one-picture",
        seed=1,
        run_dir=tmp_path / "run",
        scenes=(tmp_path,),
        encoder=EncoderShape(
            image_size=96, patch_size=12, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1
        ),
        optimizer=Optimizer(muon_lr=0.01, adam_lr=0.001, weight_decay=0.0, warmup_steps=1, final_lr_share=0.0),
        pictures_per_step=1,
        grey_share=0.5,
        turned_share=0.5,
    )
    batches, again = SceneBatches(recipe), SceneBatches(recipe)

    shown = [batches.next() for _ in range(20)]

    assert all(batch.recoloured == [True] for batch in shown)
    assert len({batch.pixels.tobytes() for batch in shown}) == 20
    assert [again.next().pixels.tobytes() for _ in range(20)] == [batch.pixels.tobytes() for batch in shown]
