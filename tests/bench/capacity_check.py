"""`make capacity-check`: does the simulation say what a live worker does? Writes build/bench/capacity.json.

    python -m tests.bench.capacity_check [--seconds 75] [--load 0.6] [--slots 8] [--seed 1]

The engine is measured by itself first (capacity_profile.py), then what a first text takes outside of it, in a run of
its own with other questions: beside running answers that is more than for one question alone. Then questions come at
random times to a worker over the store, and the simulation answers the same questions at the same times. Goal: mean and
95th percentile of the time to the first text, and tokens a second, within 15 %.
It fails nothing: a machine that others use makes two measurements differ by more than that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from infra.capacity.demand import Demand, Lengths, Question
from infra.capacity.profile import Profile
from infra.capacity.simulation import simulate
from shared.settings import WorkerSettings
from tests.bench import capacity_profile
from tests.bench.circumstances import circumstances
from tests.bench.engine_models import random_texts, reference_model
from tests.bench.engine_ways import our_way
from tests.bench.figures import percentile
from tests.bench.live_lane import LiveLane, live_lane
from tests.bench.processes import Cores, pinned
from tests.service import ROOT

OUTPUT = ROOT / "build" / "bench" / "capacity.json"
GOAL = 0.15
_PROMPT = 48  # tokens of every prompt
_ANSWER = Lengths(160, 400)
_OUTSIDE_S = 30.0  # in which questions come to measure what is outside the engine


def figures(ttfts: Sequence[float], tokens: int, seconds: float) -> dict[str, float]:
    return {
        "ttft_mean_s": statistics.mean(ttfts),
        "ttft_p95_s": percentile(ttfts, 95),
        "tokens_per_s": tokens / seconds,
    }


def errors(simulated: dict[str, float], live: dict[str, float]) -> dict[str, float]:
    """Of each figure, by how much of the live one the simulated one is too high."""
    return {name: simulated[name] / live[name] - 1 for name in live}


def questions_for(profile: Profile, load: float, seconds: float, seed: int) -> list[Question]:
    """At random times, so many that they take `load` of what the worker could write if it read no prompts."""
    per_second = load * profile.most_tokens_per_s / _ANSWER.mean
    demand = Demand(1000, 3.6 * per_second, Lengths(_PROMPT, _PROMPT), _ANSWER, [1.0] * 24)
    return demand.questions(seed, seconds / 60)


async def _check(directory: Path, options: argparse.Namespace, cores: Cores) -> dict[str, Any]:
    model = reference_model(directory / "reference")
    async with our_way(model, "float32", cores, 2 * capacity_profile.PROMPTS[-1]) as way:
        measured = await capacity_profile.measure(
            way, slots=options.slots, rounds=options.rounds, overhead_s=0.0, seed=options.seed
        )
    origin = {"model": "reference model", "device": "here", "date": "now", "source": "measured just before"}
    profile = capacity_profile.as_profile(measured, **origin)
    worker = WorkerSettings(
        slots=options.slots, threads=1, device="cpu", dtype="float32", max_new_tokens=1000, deadline_s=3600
    )
    async with live_lane(directory, model, cores, worker) as lane:
        overhead_s = await _overhead_s(lane, profile, model, options.load, options.seed)
        profile = profile.model_copy(update={"overhead_s": overhead_s})
        questions = questions_for(profile, options.load, options.seconds, options.seed)
        prompts = random_texts(model, len(questions), _PROMPT, random.Random(options.seed))
        seen = await lane.play(questions, prompts)
    tokens = sum(question.answer_tokens for question in questions)
    live = figures([each.ttft_s for each in seen], tokens, max(each.ended_s for each in seen))
    answered = simulate(questions, profile, 1)
    simulated = figures([each.ttft_s for each in answered], tokens, max(each.ended_s for each in answered))
    told = errors(simulated, live)
    return {
        "is_within_goal": all(abs(error) <= GOAL for error in told.values()),
        "errors": told,
        "live": live,
        "simulated": simulated,
        "questions": len(questions),
        "profile": profile.model_dump(mode="json"),
        "ttft_s": {"live": [each.ttft_s for each in seen], "simulated": [each.ttft_s for each in answered]},
        "late_s": float(
            np.mean([each.asked_s - question.asked_s for each, question in zip(seen, questions, strict=True)])
        ),
    }


async def _overhead_s(lane: LiveLane, profile: Profile, model: Path, load: float, seed: int) -> float:
    """What a first text takes more than a simulation says in which nothing is outside the engine: the mean."""
    questions = questions_for(profile, load, _OUTSIDE_S, seed + 1)
    first, *prompts = random_texts(model, len(questions) + 1, _PROMPT, random.Random(f"{seed} outside"))
    await lane.play([Question(0.0, _PROMPT, 2)], [first])  # warms up
    live = statistics.mean(each.ttft_s for each in await lane.play(questions, prompts))
    simulated = statistics.mean(each.ttft_s for each in simulate(questions, profile, 1))
    return max(0.0, live - simulated)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=75, help="in which questions come")
    parser.add_argument("--load", type=float, default=0.6, help="of what the worker could write")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3, help="of the engine by itself")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    cores = Cores.of_machine()
    at = circumstances("tests.bench.capacity_check", cores)
    with (
        tempfile.TemporaryDirectory() as directory,
        pinned(cores.others),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        report = at | {"goal": GOAL} | runner.run(_check(Path(directory), options, cores))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(report, indent=1) + "\n")
    for name, error in report["errors"].items():
        print(f"{name}: live {report['live'][name]:.3f}, simulated {report['simulated'][name]:.3f}, {error:+.0%}")


if __name__ == "__main__":
    main()
