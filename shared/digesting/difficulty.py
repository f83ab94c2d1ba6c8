"""How hard an article is, from 1 to 5, by four things that are measured in it.

    technical_terms   names in Latin letters (API, useEffect) for 100 words that say something
    concept_density   words that say something in a sentence of prose
    background        how much more often its words stand in advanced articles than in those for beginners: the mean of
                      log((share of advanced ones + a) / (share of beginners' ones + a)) over its different words
    code_complexity   characters in a line of its code; 0 without code

Each is put beside what is usual in articles of known level and weighed (ridge regression); four thresholds on the sum
make five levels. `difficulty.json` has all of these numbers and how they were made (tests/bench/digest/calibrate.py).
It was made from Korean articles about programming. In English ones, whose words are all in Latin letters and none of
them known, terms and background say nothing.
"""

from __future__ import annotations

import bisect
import functools
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from shared.digesting.article import Article
from shared.digesting.words import names, stems_of
from shared.text.morphemes import Morpheme

FEATURES = ("technical_terms", "concept_density", "background", "code_complexity")
LABELS = ("beginner", "elementary", "intermediate", "advanced", "expert")

_FILE = "difficulty.json"
_LEAST_KNOWN = 20  # words whose level is known
_FARTHEST = 2.5  # spreads from what is usual: no one thing makes the level alone


class Features(NamedTuple):
    """In the order of `FEATURES`. None: nothing can be said."""

    technical_terms: float | None
    concept_density: float
    background: float | None
    code_complexity: float


class Calibration(BaseModel):
    """`usual`, `spread`, `weights`: by feature. `thresholds`: of the sum, rising. `words`: by stem."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    usual: dict[str, float]
    spread: dict[str, float]
    weights: dict[str, float]
    thresholds: list[float]
    words: dict[str, float]


class Difficulty(NamedTuple):
    """`effects`: by feature, how far each moves the sum; above 0 is harder than usual."""

    score: int
    features: Features
    effects: dict[str, float]
    total: float

    @property
    def label(self) -> str:
        return LABELS[self.score - 1]


@functools.cache
def calibration() -> Calibration:
    """The one that ships."""
    return Calibration.model_validate(json.loads((files("shared.digesting") / _FILE).read_text(encoding="utf-8")))


def features_of(article: Article, morphemes: Sequence[Sequence[Morpheme]], words: Mapping[str, float]) -> Features:
    """`morphemes`: of each item. `words`: the level of each stem that has one."""
    stems = [stems_of(each) for each in morphemes]
    count = max(1, sum(map(len, stems)))
    foreign = sum(name.is_foreign for each in names(article, morphemes) for name in each)
    prose = [len(each) for each, item in zip(stems, article.items, strict=True) if not item.is_listed]
    prose = prose or [len(each) for each in stems]
    known = [words[stem] for stem in {stem for each in stems for stem in each} if stem in words]
    lines = [line.strip() for code in article.code for line in code.splitlines() if line.strip()]
    return Features(
        technical_terms=100 * foreign / count if article.language == "ko" else None,
        concept_density=sum(prose) / max(1, len(prose)),
        background=sum(known) / len(known) if len(known) >= _LEAST_KNOWN else None,
        code_complexity=sum(map(len, lines)) / len(lines) if lines else 0.0,
    )


def normal(value: float, usual: float, spread: float) -> float:
    """In spreads."""
    return max(-_FARTHEST, min(_FARTHEST, (value - usual) / spread))


def difficulty_of(features: Features, by: Calibration) -> Difficulty:
    effects = {
        name: 0.0 if value is None else by.weights[name] * normal(value, by.usual[name], by.spread[name])
        for name, value in zip(FEATURES, features, strict=True)
    }
    total = sum(effects.values())
    return Difficulty(1 + bisect.bisect_right(by.thresholds, total), features, effects, total)
