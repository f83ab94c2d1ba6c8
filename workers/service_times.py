"""How long answers hold a slot here, and how long they are: what forecasts of the wait are made from."""

from __future__ import annotations

from dataclasses import dataclass

_WEIGHT = 0.2  # of the newest answer: the last dozen count


@dataclass(slots=True)
class ServiceTimes:
    """Exponentially weighted means; None until an answer has ended."""

    seconds: float | None = None  # from the claim to the end
    tokens: float | None = None  # prompt and answer together

    def ended(self, seconds: float, tokens: int) -> None:
        self.seconds = _mean(self.seconds, seconds)
        self.tokens = _mean(self.tokens, tokens)


def _mean(before: float | None, value: float) -> float:
    return value if before is None else before + _WEIGHT * (value - before)
