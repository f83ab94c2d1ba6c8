"""Rows of LLaVA's JSON format, checked, and their pictures.

A row is `{"id", "image", "conversations": [{"from": "human" | "gpt", "value": "<image>\\n..."}]}`; `image` is a path in
the images' folder, a list of them, or missing where people only talk. Wherever `<image>` stands in a turn, the
picture is shown before its text, as in conversations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from shared.chat import Message, PictureRef, Role
from shared.errors import MessageInvalid
from shared.prompting import clean_text

TAG = "<image>"  # what the format writes where a picture is shown
_ROLES = {"human": Role.USER, "gpt": Role.ASSISTANT}


class Unusable(Exception):
    """A row that cannot be learned from. `reason` is one word of a small set, `detail` says more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation with the pictures it shows, in their order."""

    turns: tuple[Message, ...]
    pictures: tuple[Path, ...]


def read_rows(path: Path) -> list[Any]:
    """As they stand in the file. Raises: ValueError: it holds no list."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(rows, list):
        raise ValueError(f"{path} holds a {type(rows).__name__}; a list of rows was expected")
    return rows


def parse_row(raw: Any, images: Path) -> Row:
    """Check everything but the pictures' bytes. Raises: Unusable."""
    if not isinstance(raw, dict):
        raise Unusable("no_row", type(raw).__name__)
    pictures = tuple(_picture_path(name, images) for name in _names(raw.get("image")))
    said = raw.get("conversations")
    if not isinstance(said, list) or not said:
        raise Unusable("no_conversation")
    turns: list[Message] = []
    shown = 0
    for number, turn in enumerate(said):
        if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
            raise Unusable("no_conversation", f"turn {number} has no value")
        if turn.get("from") != ("human", "gpt")[number % 2]:
            raise Unusable("wrong_roles", f"turn {number} is from {turn.get('from')!r}")
        tags = turn["value"].count(TAG)
        if tags and turn["from"] == "gpt":
            raise Unusable("picture_in_answer", f"turn {number}")
        try:
            text = clean_text(turn["value"].replace(TAG, "")).strip()
        except MessageInvalid as error:
            raise Unusable("unreadable_text", f"turn {number}") from error
        if not text and not tags:
            raise Unusable("empty_turn", f"turn {number}")
        turns.append(Message(_ROLES[turn["from"]], text, (PictureRef("", "", 0, 0),) * tags))
        shown += tags
    if len(turns) % 2:
        raise Unusable("wrong_roles", "the last turn is not an answer")
    if shown != len(pictures):
        raise Unusable("picture_count", f"{shown} shown, {len(pictures)} named")
    return Row(tuple(turns), pictures)


def _names(image: Any) -> list[str]:
    names = [] if image is None else image if isinstance(image, list) else [image]
    if not all(isinstance(name, str) and name for name in names):
        raise Unusable("picture_missing", repr(image)[:200])
    return names


def _picture_path(name: str, images: Path) -> Path:
    path = images / name
    if "\x00" in name or Path(name).is_absolute() or not path.resolve().is_relative_to(images.resolve()):
        raise Unusable("picture_missing", f"{name!r} leads out of the folder")
    if not path.is_file():
        raise Unusable("picture_missing", name)
    return path


def open_picture(path: Path) -> Image.Image:
    """As serving prepares what people upload: upright, on white, in RGB. Raises: Unusable."""
    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                white = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(white, upright)
            return upright.convert("RGB")
    except Exception as error:  # decoders raise what they like, for files of anybody
        raise Unusable("picture_broken", f"{path.name}: {error}") from error
