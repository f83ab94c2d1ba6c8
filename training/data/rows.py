"""What the corpus is made of: documents of prose, and conversations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Turn = tuple[str, str]  # (role, content)


@dataclass(frozen=True)
class Document:
    """One text without roles. `text` is clean prose."""

    source: str
    text: str


@dataclass(frozen=True)
class Vote:
    """What a person thought of the last answer."""

    value: Literal["up", "down", "better"]
    reason: str = ""
    rejected: str = ""  # the answer that it is better than


@dataclass(frozen=True)
class Conversation:
    """Turns of user and assistant, in order, the user first; data of others may open with a system turn."""

    source: str
    turns: tuple[Turn, ...]
    label: str = ""  # a source's own kind of row, where it has one
    id: str = ""  # the row's own, where it has one
    pictures: tuple[str, ...] = ()  # as the row names them; they stand before the first question
    vote: Vote | None = None

    @property
    def text(self) -> str:
        return "\n".join(content for _, content in self.turns)


def single(source: str, ask: str, say: str, label: str = "") -> Conversation:
    """One question and its answer."""
    return Conversation(source, (("user", ask), ("assistant", say)), label)
