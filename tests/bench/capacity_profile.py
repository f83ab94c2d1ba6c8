"""How fast a worker's engine is on this machine, as infra.capacity wants to know it.

    python -m tests.bench.capacity_profile NAME [--model DIR] [--slots 16] [--rounds 3]

Writes infra/capacity/profiles/NAME.json. The engine runs alone in its process, as `make run` starts it: steps while so
many answers of random prompts are being written, and whole prompts with nothing beside them, the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.capacity.profile import PROFILES, Profile, Reading, Step
from tests.bench.circumstances import circumstances
from tests.bench.engine_latency import has, writing
from tests.bench.engine_models import random_prompts, reference_model
from tests.bench.engine_ways import Answer, OurWay, our_way, running
from tests.bench.gpu import step_s
from tests.bench.processes import Cores

BATCHES = (1, 4, 8, 16, 32)
PROMPTS = (16, 128, 512)
CONTEXT = 64  # tokens of each running answer, about
PREFILL_CHUNK = 512  # the default of NUNMAL_WORKER__PREFILL_CHUNK
_NEW = 16  # tokens by which every running answer grows in a round


async def measure(way: OurWay, *, slots: int, rounds: int, overhead_s: float, seed: int) -> dict[str, Any]:
    """Fields of a Profile but for its name and origin. The first round warms up."""
    chance = random.Random(f"{seed} capacity")
    batches = sorted({batch for batch in BATCHES if batch < slots} | {slots})
    steps: dict[int, list[float]] = {batch: [] for batch in batches}
    prompts: dict[int, list[float]] = {length: [] for length in PROMPTS}
    with running(way.engine.pid):
        for _ in range(rounds + 1):
            for batch, seconds in steps.items():
                seconds.append(await _step(way, batch, chance))
            for length, seconds in prompts.items():
                seconds.append(await _reading(way, length, chance))
    return {
        "slots": slots,
        "most_prompt_tokens": PREFILL_CHUNK,
        "context": CONTEXT,
        "steps": _rising([(batch, statistics.median(taken[1:])) for batch, taken in steps.items()], "rows"),
        "prompts": _rising([(length, statistics.median(taken[1:])) for length, taken in prompts.items()], "tokens"),
        "overhead_s": overhead_s,
    }


async def _step(way: OurWay, batch: int, chance: random.Random) -> float:
    async with writing(way, random_prompts(batch, CONTEXT - _NEW // 2, chance)) as answers:
        for answer in answers:
            await has(answer, 1)
        for answer in answers:
            await has(answer, len(answer.tokens) + _NEW)
    return step_s([answer.moments for answer in answers])


async def _reading(way: OurWay, length: int, chance: random.Random) -> float:
    (prompt,) = random_prompts(1, length, chance)
    begun = time.perf_counter()
    return (await way.one(prompt, 1, Answer())).moments[0] - begun


def _rising(points: Sequence[tuple[int, float]], size: str) -> list[dict[str, float]]:
    """A larger step that was measured as quicker than a smaller one is taken to be as slow: the machine has others."""
    slowest = 0.0
    told = []
    for count, seconds in points:
        slowest = max(slowest, seconds)
        told.append({size: count, "seconds": round(slowest, 6)})
    return told


def as_profile(measured: dict[str, Any], **origin: str) -> Profile:
    fields: dict[str, Any] = {
        **measured,
        **origin,
        "steps": tuple(Step(**each) for each in measured["steps"]),
        "prompts": tuple(Reading(**each) for each in measured["prompts"]),
    }
    return Profile(kind="measured", **fields)


async def _measure(model: Path, options: argparse.Namespace) -> dict[str, Any]:
    async with our_way(model, "float32", Cores.of_machine(), 2 * PROMPTS[-1]) as way:
        return await measure(
            way, slots=options.slots, rounds=options.rounds, overhead_s=options.overhead_s, seed=options.seed
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the profile")
    parser.add_argument("--model", type=Path, help="a directory; our reference model, if not given")
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--overhead-s", type=float, default=0.024, help="added_ttft_ms of `make bench-backbone`")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    at = circumstances("tests.bench.capacity_profile", Cores.of_machine())
    with tempfile.TemporaryDirectory() as directory:
        model = options.model or reference_model(Path(directory) / "reference")
        measured = asyncio.run(_measure(model, options))
    profile = as_profile(
        measured,
        model=options.model.name if options.model else "reference model, float32",
        device=f"one core of {platform.processor() or platform.machine()}",
        date=at["date"][:10],
        source=f"{at['command']} at {at['commit'][:12]}, medians of {options.rounds} rounds; processes that wanted "
        f"one of the {at['machine']['cores']} cores beside it: {at['machine']['load_before']:.1f}. "
        "overhead_s: added_ttft_ms of BENCHMARKS.md, p50",
    )
    path = PROFILES / f"{options.name}.json"
    path.write_text(json.dumps(profile.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    print(f"bench: {path}")


if __name__ == "__main__":
    main()
