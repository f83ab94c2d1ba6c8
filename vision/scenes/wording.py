"""Templates and the random choices among them; every sentence of this package is in `wordings/*.toml`.

A slot is `{a}`, or `{a:이/가}` with its particle; of `[나요|니]` one is said. A group holds a pool for training and a
held-out pool; one `Wording` says one question and its answer from one pool and remembers which templates it used.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from itertools import pairwise, product
from pathlib import Path
from typing import Literal

from shared.particles import particle
from vision.scenes.nouns import Nouns

Pool = Literal["train", "held_out"]

_SLOT = re.compile(r"\{(\w+)(?::([^{}]*))?\}")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_TOO_ALIKE = 0.9  # a wording this near to a held-out one is not said in training
_OPENED_SHARE = 0.2  # of questions for training that something is said around
_DIRECTORY = Path(__file__).parent / "wordings"

ATTRIBUTE_WORDS = {"colour": ("색", "색깔"), "shape": ("모양",), "size": ("크기",), "material": ("재질",)}
SIDE_WORDS = {
    "left": ("왼쪽", "왼편"),
    "right": ("오른쪽", "오른편"),
    "front": ("앞", "앞쪽"),
    "behind": ("뒤", "뒤쪽"),
}


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put words into slots, with the particles they take. Raises: KeyError: a slot has no value."""

    def replace(match: re.Match[str]) -> str:
        word = values[match[1]]
        return word + (particle(word, match[2]) if match[2] else "")

    return _SLOT.sub(replace, template)


@lru_cache(maxsize=1)
def asking() -> dict[str, dict[str, list[str]]]:
    """Group -> pool -> templates of questions and of links between references."""
    groups: dict[str, dict[str, list[str]]] = {}
    for path in sorted(_DIRECTORY.glob("ask_*.toml")):
        groups |= _read(path)
    for group, pools in _read(_DIRECTORY / "held_out.toml").items():
        groups[group] |= pools
    return groups


def ways(template: str) -> list[str]:
    """Every wording a template stands for: one of each `[나요|니]`."""
    parts = _CHOICE.split(template)  # text, choice, text, ...
    among = [part.split("|") if number % 2 else [part] for number, part in enumerate(parts)]
    return ["".join(chosen) for chosen in product(*among)]


@cache
def wordings(group: str, pool: Pool) -> dict[int, list[str]]:
    """Number of the template -> its wordings; for training without those that are almost a held-out one."""
    held_out = [] if pool == "held_out" else asking()[group]["held_out"]
    sayable = {
        number: [way for way in ways(template) if all(likeness(way, other) < _TOO_ALIKE for other in held_out)]
        for number, template in enumerate(asking()[group][pool])
    }
    return {number: said for number, said in sayable.items() if said}


def likeness(one: str, other: str) -> float:
    """Dice coefficient of pairs of letters, 0..1; particles and marks left out."""
    first, second = _pairs(one), _pairs(other)
    return 2 * len(first & second) / (len(first) + len(second))


@cache
def _pairs(template: str) -> frozenset[str]:
    return frozenset("".join(pair) for pair in pairwise(re.sub(r":[^}]*\}|[ .,?}]", "", template)))


@lru_cache(maxsize=1)
def answering() -> dict[str, dict[str, list[str]]]:
    """Group -> case -> sentences that answer."""
    return _read(_DIRECTORY / "answers.toml")


@lru_cache(maxsize=1)
def openings() -> list[str]:
    """What is said around a question `{q}`."""
    return _read(_DIRECTORY / "openings.toml")["around"]["question"]


def _read(path: Path) -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


class Wording:
    """The choices made while one question is put into words."""

    def __init__(self, rng: random.Random, pool: Pool) -> None:
        self.rng = rng
        self.nouns = Nouns(rng)
        self.used: list[str] = []  # ids of templates, in order
        self._pool = pool
        self._spoken: dict[int, tuple[object, str]] = {}

    def template(self, group: str) -> str:
        """One template of the pool; its id (`group:t3`, `group:h0`) is kept in `used`."""
        said = wordings(group, self._pool)
        number = self.rng.choice(list(said))
        self.used.append(f"{group}:{self._pool[0]}{number}")
        return self.rng.choice(said[number])

    def opened(self, question: str) -> str:
        """The question as it stands, or now and then, in training's pool, with something said around it."""
        if self._pool == "held_out" or self.rng.random() >= _OPENED_SHARE:
            return question
        return fill(self.rng.choice(openings()), {"q": question})

    def attribute(self, attribute: str) -> str:
        """색, 모양, 크기 or 재질."""
        return self.rng.choice(ATTRIBUTE_WORDS[attribute])

    def side(self, side: str) -> str:
        """A word for a side."""
        return self.rng.choice(SIDE_WORDS[side])

    def remember(self, reference: object, text: str) -> str:
        """Keep what a reference was called, for its answer."""
        self._spoken[id(reference)] = (reference, text)
        return text

    def called(self, reference: object) -> str:
        """What it was called. Raises: KeyError: it was not said."""
        return self._spoken[id(reference)][1]
