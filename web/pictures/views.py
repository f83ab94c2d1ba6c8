"""A picture as pages and scripts know it."""

from __future__ import annotations

from dataclasses import dataclass

from shared.chat import PictureRef


@dataclass(frozen=True, slots=True)
class PictureView:
    id: str
    width: int  # pixels, as `url` has it
    height: int
    url: str
    thumbnail_url: str
    alt: str


def view_of(picture: PictureRef) -> PictureView:
    url = f"/chat/pictures/{picture.id}"
    return PictureView(picture.id, picture.width, picture.height, url, f"{url}/thumbnail", picture.alt)
