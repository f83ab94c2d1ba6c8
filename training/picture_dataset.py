"""The rows that can be learned from, made ready for batches, and those that cannot, with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.conversations import Encoded
from training.llava_rows import Row, Unusable, open_picture, parse_row
from training.picture_chats import PictureChatEncoder

IGNORED = -100  # the label at which transformers' loss does not look


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was left out, by its place in the file."""

    row: int
    id: str
    reason: str
    detail: str


class PictureRows(torch.utils.data.Dataset[dict[str, Any]]):
    """Rows that were examined, encoded when they are asked for. `places`: (row, part) of each."""

    def __init__(
        self,
        raw: Sequence[Any],
        places: Sequence[tuple[int, int]],
        images: Path,
        encoder: PictureChatEncoder,
        image_processor: Any,
    ) -> None:
        self._raw, self._places, self._images = raw, places, images
        self._encoder, self._image_processor = encoder, image_processor

    def __len__(self) -> int:
        return len(self._places)

    def encoded(self, index: int) -> Encoded:
        """Without its pictures."""
        return self._at(index)[1]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`input_ids`, `labels`: lists of T; `pixel_values`: (pictures, 3, S, S) float32, or None."""
        row, encoded = self._at(index)
        opened = [open_picture(path) for path in row.pictures[: self._encoder.pictures_of(encoded)]]
        pixels = self._image_processor(images=opened, return_tensors="pt")["pixel_values"] if opened else None
        labels = [t if counts else IGNORED for t, counts in zip(encoded.ids, encoded.mask, strict=True)]
        return {"input_ids": encoded.ids, "labels": labels, "pixel_values": pixels}

    def _at(self, index: int) -> tuple[Row, Encoded]:
        number, part = self._places[index]
        row = parse_row(self._raw[number], self._images)
        return row, self._encoder.encode(row.turns)[part]


def examine(
    raw: Sequence[Any], images: Path, encoder: PictureChatEncoder, *, needs_picture: bool
) -> Iterator[list[tuple[int, int]] | Refused]:
    """Of each row either the places that can be learned from, or why there are none. Decodes every picture."""
    good: dict[Path, str] = {}  # path -> why it is broken, or ""
    for number, each in enumerate(raw):
        try:
            row = parse_row(each, images)
            if needs_picture and not row.pictures:
                raise Unusable("no_picture")
            parts = encoder.encode(row.turns)
            for path in row.pictures:
                if path not in good:
                    good[path] = _fault(path)
                if good[path]:
                    raise Unusable("picture_broken", good[path])
            yield [(number, part) for part in range(len(parts))]
        except Unusable as fault:
            name = str(each.get("id", "")) if isinstance(each, dict) else ""
            yield Refused(number, name, fault.reason, fault.detail)


def _fault(path: Path) -> str:
    try:
        open_picture(path)
    except Unusable as fault:
        return fault.detail
    return ""


def collate(rows: Sequence[dict[str, Any]], pad_id: int) -> dict[str, torch.Tensor]:
    """Right-padded `input_ids`, `labels`, `attention_mask`: (B, T) int64; `pixel_values`: (N, 3, S, S), if any."""
    length = max(len(row["input_ids"]) for row in rows)
    batch = {
        "input_ids": torch.full((len(rows), length), pad_id),
        "labels": torch.full((len(rows), length), IGNORED),
        "attention_mask": torch.zeros((len(rows), length), dtype=torch.int64),
    }
    for number, row in enumerate(rows):
        end = len(row["input_ids"])
        batch["input_ids"][number, :end] = torch.tensor(row["input_ids"])
        batch["labels"][number, :end] = torch.tensor(row["labels"])
        batch["attention_mask"][number, :end] = 1
    pixels = [row["pixel_values"] for row in rows if row["pixel_values"] is not None]
    if pixels:
        batch["pixel_values"] = torch.cat(pixels)
    return batch
