"""What an answer rests on, as a page draws it: outlines in percent of the picture, tabs with numbers in pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.chat import Generation, PictureRef
from shared.evidence import Evidence, EvidenceObject
from web.pictures.views import PictureView, view_of

NumberedPictures = Mapping[str, tuple[int, PictureRef]]

_SOURCES = {
    "model": "evidence.source_model",
    "program": "evidence.source_program",
    "both": "evidence.source_both",
}
_SHOWN_PX = 480  # a smaller picture is enlarged to this, so that its outlines and numbers have room
_TAB_HEIGHT_PX = 18
_DIGIT_PX = 9


@dataclass(frozen=True, slots=True)
class Outline:
    """A box around an object and the tab that bears its number: above the box, or inside it at the picture's edge."""

    number: int
    used: bool
    left: float
    top: float
    width: float
    height: float
    tab_width: int
    shift_x: int
    shift_y: int


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """A picture, the `number`th of its question. `width` and `height`: the room it gets, in pixels."""

    picture: PictureView
    number: int
    width: int
    height: int
    objects: tuple[EvidenceObject, ...]
    outlines: tuple[Outline, ...]


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """What `_evidence.html` shows."""

    source: str  # who answered: a key of the word catalogue
    pictures: tuple[SeenPicture, ...]

    @property
    def has_used(self) -> bool:
        return any(seen.used for each in self.pictures for seen in each.objects)


def pictures_of(turns: Iterable[Generation]) -> NumberedPictures:
    """All pictures of these turns by id, each with its number in its question."""
    return {picture.id: (number, picture) for turn in turns for number, picture in enumerate(turn.pictures, 1)}


def view_of_evidence(evidence: Evidence, pictures: NumberedPictures) -> EvidenceView:
    """What is not among `pictures` is left out."""
    found = [(*pictures[each.picture_id], each) for each in evidence.pictures if each.picture_id in pictures]
    seen = tuple(_seen(number, view_of(picture), each.objects) for number, picture, each in found)
    return EvidenceView(_SOURCES[evidence.source], seen)


def _seen(number: int, picture: PictureView, objects: tuple[EvidenceObject, ...]) -> SeenPicture:
    scale = max(1.0, _SHOWN_PX / max(picture.width, picture.height))
    width, height = round(picture.width * scale), round(picture.height * scale)
    ordered = sorted(objects, key=lambda seen: seen.number)
    used_on_top = sorted(ordered, key=lambda seen: seen.used)
    outlines = tuple(_outline(seen, width, height) for seen in used_on_top)
    return SeenPicture(picture, number, width, height, tuple(ordered), outlines)


def _outline(seen: EvidenceObject, width: int, height: int) -> Outline:
    left, top, right, bottom = seen.box
    tab_width = _DIGIT_PX * (len(str(seen.number)) + 1)
    has_room_above = top * height >= _TAB_HEIGHT_PX
    over_edge = max(0.0, left * width + tab_width - width)
    return Outline(
        number=seen.number,
        used=seen.used,
        left=round(100 * left, 2),
        top=round(100 * top, 2),
        width=round(100 * (right - left), 2),
        height=round(100 * (bottom - top), 2),
        tab_width=tab_width,
        shift_x=-round(over_edge),
        shift_y=-_TAB_HEIGHT_PX if has_room_above else 0,
    )
