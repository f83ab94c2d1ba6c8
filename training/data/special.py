"""Templates with a shape of their own: computing terms, and casual-polite pairs.

Each function takes the parsed YAML, a random source and the `fill` function, and yields (ask, say).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

Fill = Callable[[str, dict[str, str]], str]
ASKS_PER_TERM = 6  # of each kind, per pass
ASKS_PER_PAIR = 2  # in each direction, per pass
KINDS = ("define", "does", "why")


def computing(content: dict[str, Any], rng: random.Random, fill: Fill) -> Iterator[tuple[str, str]]:
    """Every term asked in several ways: what is it, what does it do, why is it used."""
    for term in content["terms"]:
        for kind in KINDS:
            answers = _as_list(term.get(kind))
            asks = content["ask"][kind]
            if not answers:
                continue
            for ask in rng.sample(asks, min(ASKS_PER_TERM, len(asks))):
                names = {"term": rng.choice(_as_list(term["term"]))}
                yield fill(ask, names), fill(rng.choice(answers), names)
    asks = content["ask"].get("compare", [])
    for pair in content.get("compare", []):
        for ask in rng.sample(asks, min(ASKS_PER_TERM, len(asks))):
            first, second = rng.sample([pair["a"], pair["b"]], 2)
            names = {"a": first, "b": second}
            yield fill(ask, names), rng.choice(_as_list(pair["say"]))


def style(content: dict[str, Any], rng: random.Random, fill: Fill) -> Iterator[tuple[str, str]]:
    """Every pair in both directions: to polite speech, to casual speech."""
    for pair in content["pairs"]:
        casual, polite = _as_list(pair["casual"]), _as_list(pair["polite"])
        for asks, given, wanted in (
            (content["to_polite"], casual, polite),
            (content["to_casual"], polite, casual),
        ):
            for ask in rng.sample(asks, min(ASKS_PER_PAIR, len(asks))):
                said = {"t": wanted[0]}
                yield fill(ask, {"s": rng.choice(given)}), fill(rng.choice(content["say"]), said)


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
