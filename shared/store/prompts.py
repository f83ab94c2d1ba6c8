"""How a whole prompt lies in a document: raw text as it is, messages as [role, content], and the places of their
pictures among the turn's where they have some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.chat import Message, PictureRef, Role

Stored = list[list[Any]] | str | None


def prompt_in_store(prompt: tuple[Message, ...] | str | None, pictures: Sequence[PictureRef] = ()) -> Stored:
    """`pictures`: of the turn, all messages' among them."""
    if prompt is None or isinstance(prompt, str):
        return prompt
    return [
        [str(message.role), message.content, *([_places(message, pictures)] if message.pictures else [])]
        for message in prompt
    ]


def prompt_from_store(stored: Stored, pictures: Sequence[PictureRef] = ()) -> tuple[Message, ...] | str | None:
    if stored is None or isinstance(stored, str):
        return stored
    return tuple(
        Message(Role(role), content, tuple(pictures[place] for places in rest for place in places))
        for role, content, *rest in stored
    )


def _places(message: Message, pictures: Sequence[PictureRef]) -> list[int]:
    return [pictures.index(picture) for picture in message.pictures]
