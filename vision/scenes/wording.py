"""Templates and the random choices among them; every sentence of this package is in `wordings/*.toml`.

A slot is `{a}`, or `{a:이/가}` with its particle. A group holds a pool for training and a held-out pool; one
`Wording` says one question and its answer from one pool and remembers which templates it used.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from shared.particles import particle
from vision.scenes.nouns import Nouns

Pool = Literal["train", "held_out"]

_SLOT = re.compile(r"\{(\w+)(?::([^{}]*))?\}")
_OPENED_SHARE = 0.15  # of questions for training that something is said around
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
        groups.update(_read(path))
    return groups


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
        pool = asking()[group][self._pool]
        number = self.rng.randrange(len(pool))
        self.used.append(f"{group}:{self._pool[0]}{number}")
        return pool[number]

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
