"""Two versions answer one question side by side, and a person who does not know which is which says what is better."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Choice(StrEnum):
    LEFT = "left"
    RIGHT = "right"
    SAME = "same"  # as good as the other
    BAD = "bad"  # neither is good


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two versions that people are asked to compare. None: the model alone."""

    id: str
    one: str | None
    other: str | None
    is_open: bool
    made_by: str  # a user's id
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Comparison:
    """One question, one person. Its answers are the two turns under its id, the left one first."""

    id: str
    user_id: str
    question: str
    left: str | None  # the version that answers there; None: the model alone
    right: str | None
    asked_at: datetime
    choice: Choice | None = None  # never changed, because the names are shown with it
    chosen_at: datetime | None = None

    def may_teach(self, agreed_at: datetime | None) -> bool:
        """Only what was said while the consent that holds now was held."""
        return agreed_at is not None and self.chosen_at is not None and self.chosen_at >= agreed_at
