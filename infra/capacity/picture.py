"""The plan as a picture: time to the first text, and how busy the slots are, over the number of workers."""

from __future__ import annotations

from pathlib import Path

from infra.capacity.plan import Goal, Plan
from shared.errors import ConfigError

_KINDS = (".svg", ".png")


def draw(plan: Plan, goal: Goal, title: str, path: Path) -> None:
    """Into an SVG or PNG file. Raises ConfigError for other endings, and where matplotlib is missing."""
    if path.suffix not in _KINDS:
        raise ConfigError(f"a picture's name ends with {' or '.join(_KINDS)}, not {path.suffix or 'nothing'}")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("pictures need matplotlib: pip install 'nunmal[capacity]'") from error
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "nunmal", "font.family": "sans-serif"})
    workers = [each.workers for each in plan.tried]
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    times = figure.subplots()
    times.plot(workers, [each.ttft_goal_s for each in plan.tried], "o-", color="#0b6e99", label=f"p{goal.percentile:g}")
    times.plot(workers, [each.ttft_p50_s for each in plan.tried], "o:", color="#5aa9c9", label="p50")
    times.axhline(goal.ttft_s, color="#b3261e", linestyle="--", linewidth=1, label=f"goal: {goal.ttft_s:g} s")
    times.axvline(plan.smallest.workers, color="#777777", linewidth=1)
    times.set(yscale="log", xlabel="workers", ylabel="seconds to the first text", title=title)
    slots = times.twinx()
    slots.plot(workers, [100 * each.busy for each in plan.tried], "s-", color="#8a8a8a", markersize=3, linewidth=1)
    slots.set(ylim=(0, 105), ylabel="slots taken, % (grey)")
    times.legend(frameon=False, loc="upper center")
    times.grid(visible=True, which="major", alpha=0.25)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
