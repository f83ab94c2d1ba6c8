"""Examples of every split, made once."""

from __future__ import annotations

import pytest

from vision.scenes.dataset import SPLITS, Example, Split, examples

COUNT = 120  # scenes of each split


@pytest.fixture(scope="session")
def by_split() -> dict[Split, list[Example]]:
    return {split: list(examples(11, COUNT, split, 96)) for split in SPLITS}
