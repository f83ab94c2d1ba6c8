"""What a soak found, and whether it may be so. Pure: it is given everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.soak.trend import ends, p99_drift, percent_per_hour
from tests.soak.watch import Course

LONG_HOURS = 1.5
MOST_SLOPE_SHORT, MOST_SLOPE_LONG = 8.0, 2.0  # percent an hour
MOST_METRICS_COST = 0.01
_MOST_GROWTH, _MOST_MORE = 1.1, 5  # of open files and tasks: by a tenth and five


@dataclass(frozen=True, slots=True)
class Found:
    """Of the time after the warm-up."""

    hours: float  # warm-up included
    rss_slope_pct_per_hour: dict[str, float]
    lost_answers: int
    open_files: dict[str, tuple[float, float]]  # medians of the first and of the last quarter
    tasks: dict[str, tuple[float, float]]
    ttft_p99_drift: float
    metrics_cost: float
    faults: list[str] = field(default_factory=list)  # a line for each bar that was not met


def found(
    hours: float,
    courses: Mapping[str, Course],
    ttfts: Sequence[tuple[float, float]],
    lost_answers: int,
) -> Found:
    """`ttfts`: (when it was asked, seconds to the first text). Raises ValueError if too little was seen."""
    slopes = {name: percent_per_hour(course.seconds, course.rss_kib) for name, course in courses.items()}
    files = {name: ends(course.open_files) for name, course in courses.items()}
    tasks = {name: ends(course.tasks) for name, course in courses.items() if any(course.tasks)}
    cost = metrics_cost(courses)
    most = MOST_SLOPE_LONG if hours >= LONG_HOURS else MOST_SLOPE_SHORT
    faults = [f"{name}: memory grows by {slope:.1f} % an hour" for name, slope in slopes.items() if slope > most]
    faults += [f"{lost_answers} answers were lost"] if lost_answers else []
    faults += [f"{name}: open files {_course(pair)}" for name, pair in files.items() if _grows(pair)]
    faults += [f"{name}: tasks {_course(pair)}" for name, pair in tasks.items() if _grows(pair)]
    faults += [f"instruments take {cost:.2%} of the CPU"] if cost > MOST_METRICS_COST else []
    drift = p99_drift([at for at, _ in ttfts], [seconds for _, seconds in ttfts])
    return Found(hours, slopes, lost_answers, files, tasks, drift, cost, faults)


def metrics_cost(courses: Mapping[str, Course]) -> float:
    """CPU time of the instruments a token over that of all our processes a token; the tokens are the same ones."""
    cpu_s = sum(course.cpu_s[-1] - course.cpu_s[0] for course in courses.values())
    instruments_s = sum(course.instruments_s[-1] - course.instruments_s[0] for course in courses.values())
    return instruments_s / cpu_s


def _grows(pair: tuple[float, float]) -> bool:
    return pair[1] > _MOST_GROWTH * pair[0] + _MOST_MORE


def _course(pair: tuple[float, float]) -> str:
    return f"went from {pair[0]:.0f} to {pair[1]:.0f}"
