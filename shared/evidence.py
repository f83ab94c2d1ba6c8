"""What an answer about pictures rests on: the objects that were seen in them, and which of them it used.

Made by a worker when the answer has ended, kept beside it, and sent to pages as it is. Strict when made, tolerant when
read: unknown fields are ignored, so a newer worker may add some.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]  # of the picture's width or height, from its upper left corner
Box = tuple[Share, Share, Share, Share]  # left, top, right, bottom


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class EvidenceObject(_Value):
    number: int = Field(ge=1)  # as the page shows it; each once in its picture
    box: Box
    name: str  # Korean words
    used: bool  # the answer rests on it

    @model_validator(mode="after")
    def _is_box(self) -> Self:
        left, top, right, bottom = self.box
        if left > right or top > bottom:
            raise ValueError("a box is left, top, right, bottom")
        return self


class PictureEvidence(_Value):
    picture_id: str
    objects: tuple[EvidenceObject, ...]


class Evidence(_Value):
    """`source`: who answered: the model by itself, the program that reads what it saw, or both alike."""

    source: Literal["model", "program", "both"]
    pictures: tuple[PictureEvidence, ...]
