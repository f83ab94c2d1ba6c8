"""What a model with a scene parser is told of a picture beside its vectors: the list of the objects in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vision.reader import SceneReader
from vision.reasoning.findings import Findings
from vision.reasoning.listing import listing
from vision.reasoning.tokens import ALL
from workers.engine.base import Picture, PictureNotes


class Describer:
    """Called once for each picture. Belongs to the engine's process."""

    def __init__(self, reader: SceneReader, control: dict[str, int]) -> None:
        """`control`: token ids by name."""
        self._reader = reader
        self._control = control

    @classmethod
    def open(cls, directory: Path, tokenizer: Any) -> Describer | None:
        """None: the directory holds no scene parser. Raises: ValueError: it does not fit the model."""
        reader = SceneReader.from_folder(directory)
        if reader is None:
            return None
        known = tokenizer.get_vocab()
        if missing := [name for name in ALL if name not in known]:
            raise ValueError(f"a scene parser, and the tokenizer lacks {missing[0]}")
        return cls(reader, {name: known[name] for name in ALL})

    def __call__(self, picture: Picture) -> PictureNotes:
        things = tuple(found.thing for found in self._reader.read(torch.from_numpy(picture.pixels)[None])[0])
        token_ids = tuple(self._control[name] for name in listing(things, self._reader.size))
        return PictureNotes(token_ids, Findings(things, self._reader.size))
