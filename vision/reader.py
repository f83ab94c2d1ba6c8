"""The scene parser of a published model: its encoder is the model's vision tower, its head a file beside it.

A model folder without that file sees by its language model alone.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import SiglipVisionConfig

from vision.parser.glances import read
from vision.parser.model import ParsingHead, SceneParser
from vision.parser.reading import Found

HEAD_FILE = "parsing_head.safetensors"
_TOWER = "vision_tower."


class SceneReader:
    """Reads the objects of pictures. Not tied to a thread; one call at a time."""

    def __init__(self, parser: SceneParser, size: int) -> None:
        self._parser = parser.eval()
        self._size = size

    @classmethod
    def from_folder(cls, folder: Path) -> SceneReader | None:
        """None: the model has no head. Raises: ValueError: its vision tower is not the one that the head was made for;
        OSError, KeyError: a file is damaged."""
        if not (folder / HEAD_FILE).exists():
            return None
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        vision = SiglipVisionConfig(**{**config["vision_config"], "vision_use_head": False})
        parser = SceneParser(vision)
        with safe_open(folder / "model.safetensors", "pt") as file:
            names = {name.partition(_TOWER)[2]: name for name in file.keys() if _TOWER in name}  # noqa: SIM118
            tower = {short: file.get_tensor(name).float() for short, name in names.items()}
        missing, unexpected = parser.encoder.load_state_dict(tower, strict=False)
        if missing or unexpected:
            raise ValueError(f"the vision tower lacks {missing[:3]} and has {unexpected[:3]}")
        parser.head.load_state_dict({name: value.float() for name, value in load_file(folder / HEAD_FILE).items()})
        return cls(parser, int(config["vision_config"]["image_size"]))

    @property
    def size(self) -> int:
        """Pixels, both ways, of the pictures it reads and of the boxes it gives."""
        return self._size

    @torch.inference_mode()
    def read(self, pixels: torch.Tensor) -> list[list[Found]]:
        """pixels: (B, 3, S, S) float32 as the model's image processor gives them. Returns each picture's objects from
        left to right, numbered from 1, boxes in pixels of `size`."""
        return read(self._parser, pixels, self._size)


def save_head(head: ParsingHead, folder: Path) -> None:
    """Write the head beside a model, in bfloat16."""
    weights = {name: value.to(torch.bfloat16).contiguous() for name, value in head.state_dict().items()}
    save_file(weights, folder / HEAD_FILE)
