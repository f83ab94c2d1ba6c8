"""Summaries of 25 science articles against the sentences that people chose (NUNMAL_DATA_DIR/eval/sci_news_25).

Ours, the first three sentences, and TextRank (Mihalcea and Tarau 2004: overlap of stems over the logarithms of the
lengths, damping 0.85) with three sentences and with as many as ours.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shared.digesting.article import read_article
from shared.digesting.summary import Weights, chosen_of, length_of, summary_places
from shared.digesting.terms import terms_of
from shared.digesting.words import stems_of
from shared.text.morphemes import Morpheme, analysed
from training.compare.intervals import Measured, difference, interval
from training.compare.overlap import bleu, rouge

_DAMPING, _ROUNDS = 0.85, 100
_LEAD = 3
_GRID = list(itertools.starmap(Weights, itertools.product((0.0, 0.25, 0.5, 1.0), (0.0, 0.3, 0.6), (0.0, 0.3, 0.6))))
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class News:
    """`chosen`: places of the sentences that people took."""

    title: str
    sentences: list[str]
    chosen: list[int]
    morphemes: list[list[Morpheme]]
    of_title: list[Morpheme]

    def said(self, places: Sequence[int]) -> str:
        return "\n".join(self.sentences[place] for place in sorted(places))


def news(data_dir: Path) -> list[News]:
    with gzip.open(data_dir / "eval/sci_news_25/articles.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        News(
            row["title"],
            row["sentences"],
            row["summaries"],
            [analysed(sentence) for sentence in row["sentences"]],
            analysed(row["title"]),
        )
        for row in rows
    ]


def compared(found: Sequence[News], seed: int) -> dict[str, Any]:
    """Every way's ROUGE and BLEU with intervals, ROUGE-L of each article, and how far ours is above the others."""
    ours = [_ours(each) for each in found]
    lengths = [len(text.split("\n")) for text in ours]
    ways = {
        "ours": ours,
        "lead3": [each.said(range(min(_LEAD, len(each.sentences)))) for each in found],
        "textrank": [each.said(_textrank(each)[:_LEAD]) for each in found],
        "textrank_as_long": [each.said(_textrank(each)[:n]) for each, n in zip(found, lengths, strict=True)],
        "lead_as_long": [each.said(range(n)) for each, n in zip(found, lengths, strict=True)],
    }
    references = [each.said(each.chosen) for each in found]
    table = {name: against_people(texts, found, seed) for name, texts in ways.items()}
    lines: dict[str, Measured] = {name: rouge(texts, references)["ROUGE-L"] for name, texts in ways.items()}
    above = {
        name: _told(difference(lines["ours"], line, seed, _RESAMPLES)) for name, line in lines.items() if name != "ours"
    }
    return table | {"ours_above": above, "other_weights": _other_weights(found, references)}


def against_people(texts: Sequence[str], found: Sequence[News], seed: int) -> dict[str, Any]:
    """ROUGE and BLEU with intervals, and ROUGE-L of each text; `texts`: one for each article."""
    references = [each.said(each.chosen) for each in found]
    measured = rouge(texts, references) | {"BLEU": bleu(texts, references)}
    told: dict[str, Any] = {key: _told(interval(each, seed, _RESAMPLES)) for key, each in measured.items()}
    return told | {"samples": [float(value) for value in measured["ROUGE-L"].counts[:, 0]]}


def keyword_f1(found: Sequence[News]) -> dict[str, Any]:
    """Nobody chose keywords here. A stand-in: which stems of the headline are found from the body alone."""
    samples, by_count = [], []
    for each in found:
        article = read_article("\n\n".join(each.sentences), each.sentences[0])
        keywords = terms_of(article, [analysed(item.text) for item in article.items], []).keywords
        wanted = set(stems_of(each.of_title))
        samples.append(_f1({stem for word in keywords for stem in stems_of(analysed(word))}, wanted))
        counted = Counter(stem for sentence in each.morphemes for stem in stems_of(sentence))
        by_count.append(_f1({stem for stem, _ in counted.most_common(len(keywords))}, wanted))
    return {"ours": float(np.mean(samples)), "most_frequent_stems": float(np.mean(by_count)), "samples": samples}


def _ours(each: News) -> str:
    """Through the same door as every article."""
    article = read_article("\n\n".join(each.sentences), each.title)
    places = summary_places(article, [analysed(item.text) for item in article.items], each.of_title)
    return "\n".join(article.items[place].text for place in places)


def _other_weights(found: Sequence[News], references: Sequence[str]) -> dict[str, Any]:
    """Of the grid: the mean of each choice, and what is got if each article's weights are chosen by the others."""
    title = [frozenset(stems_of(each.of_title)) for each in found]
    stems = [[stems_of(sentence) for sentence in each.morphemes] for each in found]
    scores = []
    for weights in _GRID:
        texts = [
            each.said(chosen_of(of_each, of_title, weights, count=length_of(len(of_each))))
            for each, of_each, of_title in zip(found, stems, title, strict=True)
        ]
        scores.append(rouge(texts, references)["ROUGE-L"].counts[:, 0])
    table = np.array(scores)
    left_out = [table[np.delete(table, at, 1).mean(1).argmax(), at] for at in range(len(found))]
    means = table.mean(1)
    return {
        "leave_one_out": float(np.mean(left_out)),
        "grid": {"least": float(means.min()), "median": float(np.median(means)), "most": float(means.max())},
        "best": _GRID[int(means.argmax())]._asdict(),
    }


def _textrank(each: News) -> list[int]:
    """The best first."""
    words = [set(stems_of(sentence)) for sentence in each.morphemes]
    count = len(words)
    links = np.zeros((count, count))
    for one, other in itertools.permutations(range(count), 2):
        if min(len(words[one]), len(words[other])) > 1:
            lengths = math.log(len(words[one])) + math.log(len(words[other]))
            links[one, other] = len(words[one] & words[other]) / lengths
    out = links.sum(1, keepdims=True)
    steps = np.where(out > 0, links / np.where(out > 0, out, 1), 1 / count)
    rank = np.full(count, 1 / count)
    for _ in range(_ROUNDS):
        rank = (1 - _DAMPING) / count + _DAMPING * rank @ steps
    return sorted(range(count), key=lambda place: -rank[place])


def _f1(found: set[str], wanted: set[str]) -> float:
    return 2 * len(found & wanted) / (len(found) + len(wanted)) if found or wanted else 0.0


def _told(measured: Any) -> dict[str, float]:
    return {"value": measured.value, "low": measured.low, "high": measured.high}
