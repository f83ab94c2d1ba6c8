"""build/chaos.json, and the same for people."""

from __future__ import annotations

import json
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.checker import Verdict, percentile
from tests.chaos.injections import Injection
from tests.service import ROOT


def report(seed: int, injections: Sequence[Injection], verdict: Verdict) -> dict[str, Any]:
    """What chaos.json holds."""
    counts = Counter(injection.kind for injection in injections)
    gaps: dict[str, list[float]] = defaultdict(list)
    for injection in injections:
        gaps[injection.kind] += injection.gaps()
    return {
        "seed": seed,
        "commit": _commit(),
        "injections": dict(counts),
        "injections_total": counts.total(),
        "prompts": verdict.prompts,
        "lost_prompts": verdict.lost_prompts,
        "lost_chars": verdict.lost_chars,
        "doubled_chars": verdict.doubled_chars,
        "orphan_runs": verdict.orphan_runs,
        "gap_s": {kind: _summary(samples) for kind, samples in gaps.items()},
    }


def write(found: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")


def table(found: dict[str, Any]) -> Iterable[str]:
    """Lines for a terminal."""
    yield f"{'injection':<20}{'times':>6}{'struck':>8}{'gap p50':>9}{'p99':>8}"
    for kind, count in sorted(found["injections"].items()):
        gap = found["gap_s"].get(kind) or _summary([])
        yield f"{kind:<20}{count:>6}{len(gap['samples']):>8}{_seconds(gap['p50']):>9}{_seconds(gap['p99']):>8}"
    numbers = ("injections_total", "prompts", "lost_prompts", "lost_chars", "doubled_chars", "orphan_runs")
    yield ", ".join(f"{name} {found[name]}" for name in numbers)


def _summary(samples: Sequence[float]) -> dict[str, Any]:
    rounded = [round(sample, 3) for sample in samples]
    if not rounded:
        return {"p50": None, "p99": None, "samples": []}
    return {"p50": percentile(rounded, 50), "p99": percentile(rounded, 99), "samples": rounded}


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _commit() -> str:
    found = subprocess.run(["/usr/bin/env", "git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"
