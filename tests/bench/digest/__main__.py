"""`make bench-digest`: digests beside their baselines. Writes build/bench/digest.json, raw samples with it.

python -m tests.bench.digest [--documents 200] [--adapter var/training/tune/digests/2-m2-task/result]

The one table of all ways stands in the file as `table`, and is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.digesting.difficulty import Calibration, calibration, difficulty_of, features_of
from shared.settings import load_settings
from tests.bench.circumstances import circumstances
from tests.bench.digest.articles import UNSEEN, Levelled, levelled
from tests.bench.digest.calibrate import calibrated
from tests.bench.digest.made import made
from tests.bench.digest.summaries import compared, keyword_f1, news
from tests.bench.digest.written import written
from tests.bench.processes import Cores

OUT = Path("build/bench/digest.json")
SEED = 7
_SCORES = ("ROUGE-L", "ROUGE-1", "ROUGE-2", "BLEU")
_OTHERS = ("keyword_f1", "kendall", "kendall_unseen", "kendall_left_out")
_LEAST_ARTICLES = 8
_BASELINES = ("lead3", "lead_as_long", "textrank", "textrank_as_long")
_SHOWN = (
    *("valid", "by_llm_share", "grounded_keywords", "rougeL", "lead3_rougeL", "textrank_rougeL", "difficulty_kendall"),
    "articles_per_min_per_core",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.digest")
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--adapter", type=Path, action="append", default=[], help="one for digests; asked beside none")
    parser.add_argument("--characters", type=int, default=700, help="of an article, shown to the model")
    parser.add_argument("--asked", type=int, default=100, help="documents that the model is asked about")
    parser.add_argument("--without-model", action="store_true", help="extracts alone")
    options = parser.parse_args()
    data_dir = load_settings().data_dir
    documents = asyncio.run(made(data_dir, options.documents, SEED))
    articles = news(data_dir)
    summaries = compared(articles, SEED)
    models = [] if options.without_model else [None, *options.adapter]
    wrote = [
        asyncio.run(written(data_dir, articles, options.asked, SEED, adapter, options.characters)) for adapter in models
    ]
    levels = list(levelled(data_dir))
    held_out = [each for each in levels if not each.calibrates and each.collection not in UNSEEN]
    difficulty = {
        "held_out": _agreement(held_out),
        "unseen_collections": _agreement([each for each in levels if each.collection in UNSEEN]),
        "left_out": _left_out([each for each in levels if each.calibrates]),
    }
    keywords = keyword_f1(articles)
    table = _table(summaries, wrote, keywords, difficulty)
    result = circumstances("tests.bench.digest", Cores.of_machine()) | {
        "seed": SEED,
        "made": documents,
        "summaries": summaries,
        "written": wrote,
        "keyword_f1_of_headlines": keywords,
        "table": table,
        "difficulty": difficulty,
        "valid": documents["valid"],
        "by_llm_share": max((each["by_llm_share"] for each in wrote), default=0.0),
        "grounded_keywords": documents["grounded_keywords"],
        "rougeL": summaries["ours"]["ROUGE-L"]["value"],
        "lead3_rougeL": summaries["lead3"]["ROUGE-L"]["value"],
        "textrank_rougeL": max(summaries[way]["ROUGE-L"]["value"] for way in ("textrank", "textrank_as_long")),
        "difficulty_kendall": difficulty["held_out"]["kendall"],
        "articles_per_min_per_core": documents["articles_per_min_per_core"],
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(_markdown(table) + "".join(f"{name}: {result[name]:.4f}\n" for name in _SHOWN))


def _table(
    summaries: dict[str, Any], wrote: Sequence[dict[str, Any]], keywords: dict[str, Any], difficulty: dict[str, Any]
) -> list[dict[str, Any]]:
    """A row for each way. Keywords and levels are ours alone, but for the most frequent stems; nobody chose keywords,
    so those are measured by the headlines. None: nothing to say."""

    def row(way: str, measured: dict[str, Any], **more: float) -> dict[str, Any]:
        scores = {name: measured.get(name, {}).get("value") for name in _SCORES}
        return {"way": way} | scores | {name: more.get(name) for name in _OTHERS}

    kendalls = {
        "kendall": difficulty["held_out"]["kendall"],
        "kendall_unseen": difficulty["unseen_collections"]["kendall"],
        "kendall_left_out": difficulty["left_out"]["kendall"],
    }
    rows = [row("ours", summaries["ours"], keyword_f1=keywords["ours"], **kendalls)]
    rows += [row(way, summaries[way]) for way in summaries if way in _BASELINES]
    for each in wrote:
        rows += [row(f"{each['model']}, as written", each["raw"]), row(f"{each['model']}, as shown", each["shown"])]
    return [*rows, row("most frequent stems", {}, keyword_f1=keywords["most_frequent_stems"])]


def _markdown(table: Sequence[dict[str, Any]]) -> str:
    lines = [list(table[0]), ["---"] * len(table[0])]
    lines += [["" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else cell for cell in row.values()]
              for row in table]  # fmt: skip
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _left_out(found: Sequence[Levelled]) -> dict[str, Any]:
    """What a calibration without a collection says of its articles, for each that has both levels: how well difficulty
    travels, asked of the calibrating half alone."""
    named = dict.fromkeys(each.collection for each in found)
    both = [name for name in named if len({each.level for each in found if each.collection == name}) > 1]
    measured = {}
    for name in both:
        articles = [each for each in found if each.collection == name]
        if len(articles) >= _LEAST_ARTICLES:
            by = Calibration.model_validate(calibrated([each for each in found if each.collection != name]))
            measured[name] = _agreement(articles, by)["kendall"]
    return {"kendall": float(np.mean(list(measured.values()))), "collections": measured}


def _agreement(found: Sequence[Levelled], by: Calibration | None = None) -> dict[str, Any]:
    """Kendall's tau-b of the score, 1 to 5, with the level, beginner or advanced. `by`: what ships, if not given."""
    by = by or calibration()
    scores = [difficulty_of(features_of(each.article, each.morphemes, by.words), by).score for each in found]
    samples = [
        {"document": f"{each.collection}/{each.path}", "level": each.level, "score": score}
        for each, score in zip(found, scores, strict=True)
    ]
    return {"kendall": kendall(scores, [each.level for each in found]), "articles": len(found), "samples": samples}


def kendall(one: Sequence[float], other: Sequence[float]) -> float:
    """Tau-b, which knows ties."""
    pairs = np.triu_indices(len(one), 1)
    orders = [np.sign(np.subtract.outer(np.array(each, dtype=float), each))[pairs] for each in (one, other)]
    untied = [int((order != 0).sum()) for order in orders]
    return float((orders[0] * orders[1]).sum() / math.sqrt(untied[0] * untied[1])) if all(untied) else 0.0


if __name__ == "__main__":
    main()
