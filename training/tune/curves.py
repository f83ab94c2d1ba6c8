"""Loss curves of a run as one PNG: a column for each stage, what it learned from and what it was evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def draw(logs: Mapping[str, Sequence[Mapping[str, Any]]], file: Path) -> None:
    """Stage -> its log (points with `step` and `loss`, `eval_loss` or `learning_rate`)."""
    figure = Figure(figsize=(5 * max(1, len(logs)), 4), layout="constrained")
    FigureCanvasAgg(figure)
    for column, (stage, points) in enumerate(logs.items(), 1):
        axes = figure.add_subplot(1, len(logs), column)
        for key, label, style in (("loss", "training", "-"), ("eval_loss", "evaluation", "o-")):
            found = [(point["step"], point[key]) for point in points if key in point]
            if found:
                axes.plot(*zip(*found, strict=True), style, label=label, markersize=4)
                axes.legend(frameon=False)
        axes.set(title=stage, xlabel="step", ylabel="loss")
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=120)
