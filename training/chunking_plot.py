"""The comparison of chunking strategies as one PNG: a row for each collection, a column for each measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_MEASURES = {"hit1": "hit@1", "hit5": "hit@5", "contained": "answer quoted"}


def draw(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """`rows`: what `training.chunking.Measured` has."""
    collections = list(dict.fromkeys(row["collection"] for row in rows))
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    figure = Figure(figsize=(4 * len(_MEASURES), 3.2 * len(collections)), layout="constrained")
    FigureCanvasAgg(figure)
    places = [(collection, measure) for collection in collections for measure in _MEASURES]
    for number, (collection, measure) in enumerate(places, 1):
        axes = figure.add_subplot(len(collections), len(_MEASURES), number)
        for strategy in strategies:
            mine = [row for row in rows if (row["collection"], row["strategy"]) == (collection, strategy)]
            axes.plot([row["limit"] for row in mine], [row[measure] for row in mine], "o-", label=strategy)
        axes.set(title=f"{collection}: {_MEASURES[measure]}", xlabel="characters of a chunk, at most")
        axes.set_xticks(sorted({row["limit"] for row in rows}))
        axes.grid(alpha=0.3)
        if number == 1:
            axes.legend(frameon=False)
    figure.savefig(file, dpi=110)
