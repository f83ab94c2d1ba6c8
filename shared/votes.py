"""What a person says of an answer: liked or not, for which reasons, and whether it may teach a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MOST_WORDS_CHARACTERS = 500  # of a person's own reason


class VoteValue(StrEnum):
    UP = "up"
    DOWN = "down"


class Reason(StrEnum):
    HELPFUL = "helpful"
    ACCURATE = "accurate"
    NATURAL = "natural"
    WRONG = "wrong"
    AWKWARD = "awkward"
    LONG = "long"
    OFF = "off"
    HARMFUL = "harmful"


REASONS: Mapping[VoteValue, tuple[Reason, ...]] = {
    VoteValue.UP: (Reason.HELPFUL, Reason.ACCURATE, Reason.NATURAL),
    VoteValue.DOWN: (Reason.WRONG, Reason.AWKWARD, Reason.LONG, Reason.OFF, Reason.HARMFUL),
}


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's, on one answer of theirs. `words`: their own, beside the reasons they chose."""

    turn_id: str
    conversation_id: str
    user_id: str
    value: VoteValue
    reasons: tuple[Reason, ...]
    words: str
    model: str
    model_digest: str | None
    adapter: str | None  # the version that answered
    voted_at: datetime

    def may_teach(self, agreed_at: datetime | None) -> bool:
        """Only what was said while the consent that holds now was held."""
        return agreed_at is not None and self.voted_at >= agreed_at


@dataclass(frozen=True, slots=True)
class VoteCount:
    """Of one version (None: the model alone)."""

    model: str
    adapter: str | None
    up: int
    down: int
    people: int
