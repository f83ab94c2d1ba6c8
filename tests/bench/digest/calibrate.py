"""`python -m tests.bench.digest.calibrate`: shared/digesting/difficulty.json, from articles of known level.

Each collection counts by the root of how many articles of a level it has, so that no large one is taken for its level.
Words have to stand in three collections. A word's level in an article that calibrates is that of the other four fifths,
or the regression would trust what it has seen.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.digesting.difficulty import FEATURES, features_of, normal
from shared.digesting.words import stems_of
from shared.settings import load_settings
from tests.bench.digest.articles import ADVANCED, BEGINNER, Levelled, levelled

OUT = Path("shared/digesting/difficulty.json")
_LEAST_COLLECTIONS, _LEAST_ARTICLES = 3, 5
_SMOOTHING = 0.5  # articles that each word is taken to stand in more
_FOLDS = 5
_RIDGE = 10.0
_QUANTILES = (0.15, 0.35, 0.6, 0.85)  # of the sums of those that calibrate


def main() -> None:
    found = [each for each in levelled(load_settings().data_dir) if each.calibrates]
    OUT.write_text(json.dumps(calibrated(found), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def calibrated(found: Sequence[Levelled]) -> dict[str, object]:
    folds = [range(fold, len(found), _FOLDS) for fold in range(_FOLDS)]
    rows: dict[int, list[float]] = {}
    for fold in folds:
        words = levels_of([found[at] for at in range(len(found)) if at not in fold])
        for at in fold:
            values = features_of(found[at].article, found[at].morphemes, words)
            rows[at] = [math.nan if value is None else value for value in values]
    table = np.array([rows[at] for at in range(len(found))])
    levels = np.array([each.level for each in found], dtype=float)
    usual, spread = np.nanmean(table, 0), np.nanstd(table, 0)
    shape = np.nan_to_num(np.vectorize(normal)(table, usual, spread))
    weights = np.linalg.solve(shape.T @ shape + _RIDGE * np.eye(len(FEATURES)), shape.T @ (levels - levels.mean()))
    sums = shape @ weights

    def by_feature(values: np.ndarray) -> dict[str, float]:
        return {name: round(float(value), 5) for name, value in zip(FEATURES, values, strict=True)}

    return {
        "made_by": "tests.bench.digest.calibrate",
        "articles": dict(sorted(Counter(f"{each.collection}/{each.level}" for each in found).items())),
        "usual": by_feature(usual),
        "spread": by_feature(spread),
        "weights": by_feature(weights),
        "thresholds": [round(float(value), 5) for value in np.quantile(sums, _QUANTILES)],
        "words": levels_of(found),
    }


def levels_of(found: Sequence[Levelled]) -> dict[str, float]:
    """By word: how much more often it stands in advanced articles."""
    sizes = Counter((each.collection, each.level) for each in found)
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    totals = [0.0, 0.0]
    where: dict[str, set[str]] = defaultdict(set)
    articles: Counter[str] = Counter()
    for each in found:
        weight = 1 / math.sqrt(sizes[each.collection, each.level])
        totals[each.level] += weight
        for word in {stem for one in each.morphemes for stem in stems_of(one)}:
            counts[each.level][word] += weight  # type: ignore[assignment]  # a counter of shares
            where[word].add(each.collection)
            articles[word] += 1
    smooth = _SMOOTHING * sum(totals) / len(found)

    def share(word: str, level: int) -> float:
        return (counts[level][word] + smooth) / (totals[level] + 2 * smooth)

    kept = [word for word in where if len(where[word]) >= _LEAST_COLLECTIONS and articles[word] >= _LEAST_ARTICLES]
    return {word: round(math.log(share(word, ADVANCED) / share(word, BEGINNER)), 2) for word in sorted(kept)}


if __name__ == "__main__":
    main()
