"""Our engine on a CUDA device, beside transformers' continuous batching. Writes build/bench/gpu.json.

    python -m tests.bench.gpu [--models 1b 8b] [--batches 1 8 32 64 128] [--prompt 512] [--new 128] [--rounds 3]

Random weights of the shape of Llama 3, in bfloat16. A decode step cannot be quicker than reading all weights and all
keys and values once: `over_floor` is that time, at the bandwidth measured here, over the time a step took (1 is best).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import uvloop

from shared.settings import WorkerSettings
from tests.bench.circumstances import circumstances
from tests.bench.engine_latency import has, writing
from tests.bench.engine_models import random_llama, random_prompts
from tests.bench.engine_ways import CB, OurWay, running, started_peer
from tests.bench.peers.environments import PeerMissing
from tests.bench.processes import Cores
from tests.service import ROOT
from workers.engine.engine_messages import Order
from workers.engine.process_engine import ProcessEngine

OUTPUT = ROOT / "build" / "bench" / "gpu.json"
GOAL = 0.7  # over_floor at 64 answers
_COPIED_BYTES = 4 << 30
_BF16_BYTES = 2
_WITHIN_S = 300  # seconds in which a round must be over


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a Llama: what decides how many bytes a step reads."""

    hidden: int
    wide: int
    layers: int
    heads: int
    shared_heads: int  # of keys and values
    vocabulary: int
    is_tied: bool

    @property
    def head(self) -> int:
        return self.hidden // self.heads

    @property
    def read_parameters(self) -> int:
        """All weights that a step reads: the output layer whole, of the embedding only a row for each answer."""
        attention = 2 * self.hidden * self.hidden + 2 * self.hidden * self.shared_heads * self.head
        layer = attention + 3 * self.hidden * self.wide + 2 * self.hidden
        return self.layers * layer + self.hidden + self.hidden * self.vocabulary

    def config(self) -> dict[str, Any]:
        return {
            "hidden_size": self.hidden,
            "intermediate_size": self.wide,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.shared_heads,
            "vocab_size": self.vocabulary,
            "tie_word_embeddings": self.is_tied,
            "max_position_embeddings": 8192,
        }


SHAPES = {
    "1b": Shape(2048, 8192, 16, 32, 8, 128_256, is_tied=True),
    "8b": Shape(4096, 14336, 32, 32, 8, 128_256, is_tied=False),
}


def step_bytes(shape: Shape, batch: int, context: float, element_bytes: int = _BF16_BYTES) -> float:
    """That one decode step of `batch` answers must read, each with `context` tokens of keys and values."""
    kept = 2 * shape.layers * shape.shared_heads * shape.head * context
    return element_bytes * (shape.read_parameters + batch * kept)


def step_s(arrivals: Sequence[Sequence[float]]) -> float:
    """Seconds of a decode step: between the moment from which all answers were being written and the first end, by the
    answer that got most tokens meanwhile. Raises ValueError if there was no such time."""
    begun, ended = max(moments[0] for moments in arrivals), min(moments[-1] for moments in arrivals)
    within = [[moment for moment in moments if begun <= moment <= ended] for moments in arrivals]
    steps, moments = max((len(moments) - 1, moments) for moments in within)
    if steps < 1:
        raise ValueError("the answers were not written at the same time")
    return (moments[-1] - moments[0]) / steps


def bandwidth(device: torch.device) -> float:
    """Bytes a second that the device reads and writes while it copies, the best of ten times."""
    source = torch.empty(_COPIED_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(11):
        torch.cuda.synchronize(device)
        begun = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - begun)
    return 2 * _COPIED_BYTES / best


@dataclass(frozen=True, slots=True)
class _Steps:
    seconds: float  # of one
    context: float  # tokens of each answer, in the middle of the time that was measured


async def _steps(way: OurWay, batch: int, options: argparse.Namespace, chance: random.Random) -> _Steps:
    """While all answers are being written, each at least `new` tokens."""
    prompts = random_prompts(batch, options.prompt, chance)
    async with asyncio.timeout(_WITHIN_S), writing(way, prompts) as answers:
        for answer in answers:
            await has(answer, 1)
        for answer in answers:
            await has(answer, len(answer.tokens) + options.new)
    written = statistics.mean(len(answer.tokens) for answer in answers) - options.new / 2
    return _Steps(step_s([answer.moments for answer in answers]), options.prompt + written)


async def _ours(
    model: Path, options: argparse.Namespace, chance: random.Random
) -> dict[int, tuple[list[_Steps], list[float]]]:
    """By batch and round: its decode steps alone, and tokens a second from prompts to ends."""
    settings = WorkerSettings(slots=max(options.batches), device="cuda", dtype="bfloat16")
    engine = await asyncio.to_thread(ProcessEngine.start, Order(str(model), settings, "text", "warning"))
    way, found = OurWay(engine), {}
    try:
        for batch in options.batches:
            steps: list[_Steps] = []
            speeds: list[float] = []
            for _ in range(options.rounds + 1):
                with running(engine.pid):
                    steps.append(await _steps(way, batch, options, chance))
                sample, _ = await way.answer(random_prompts(batch, options.prompt, chance), options.new)
                speeds.append(sample.speed)
            found[batch] = steps[1:], speeds[1:]  # the first one warms up
    finally:
        os.kill(engine.pid, signal.SIGCONT)
        await engine.close()
    return found


async def _theirs(model: Path, options: argparse.Namespace, chance: random.Random) -> dict[int, list[float]]:
    """By batch and round: tokens a second of transformers' continuous batching. Raises PeerMissing or RuntimeError."""
    found: dict[int, list[float]] = {}
    size = [str(max(options.batches)), str(options.prompt + options.new)]
    command = [sys.executable, "-m", f"tests.bench.peers.{CB}", str(model), "bfloat16", "cuda", *size]
    async with started_peer(CB, command, os.sched_getaffinity(0)) as way:
        for batch in options.batches:
            speeds = []
            for _ in range(options.rounds + 1):
                sample, _ = await way.answer(random_prompts(batch, options.prompt, chance), options.new)
                speeds.append(sample.speed)
            found[batch] = speeds[1:]
    return found


def measure(name: str, directory: Path, options: argparse.Namespace, bytes_per_s: float) -> list[dict[str, Any]]:
    """A row for each batch."""
    shape, chance = SHAPES[name], random.Random(f"{options.seed} {name}")
    with torch.device("cuda"):
        model = random_llama(directory / name, options.seed, shape.config(), torch.bfloat16)
    torch.cuda.empty_cache()
    theirs: dict[int, list[float]] = {}
    missing = None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        ours = runner.run(_ours(model, options, chance))
        try:  # one after the other: both take what memory they find
            theirs = runner.run(_theirs(model, options, chance))
        except (PeerMissing, RuntimeError, TimeoutError) as error:
            missing = str(error)
    return [
        row(shape, bytes_per_s, batch, [(one.seconds, one.context) for one in steps], speeds, theirs.get(batch))
        | {"model": name, "missing": missing}
        for batch, (steps, speeds) in ours.items()
    ]


def row(
    shape: Shape,
    bytes_per_s: float,
    batch: int,
    steps: Sequence[tuple[float, float]],
    speeds: Sequence[float],
    theirs: Sequence[float] | None,
) -> dict[str, Any]:
    """Of a table. `steps`: (seconds, context) by round; `speeds` and `theirs`: tokens a second by round."""
    floors = [step_bytes(shape, batch, context) / bytes_per_s for _, context in steps]
    return {
        "batch": batch,
        "over_floor": statistics.median(floor / seconds for floor, (seconds, _) in zip(floors, steps, strict=True)),
        "tokens_per_s": statistics.median(speeds),
        "over_transformers_cb": statistics.median(speeds) / statistics.median(theirs) if theirs else None,
        "steps_s": [seconds for seconds, _ in steps],
        "floors_s": floors,
        "samples": {"ours": list(speeds), "transformers_cb": list(theirs or ())},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32, 64, 128])
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device: nothing was measured (tests.bench.engine measures on a CPU)")
    device = torch.device("cuda")
    bytes_per_s = bandwidth(device)
    report = circumstances("tests.bench.gpu", Cores.of_machine()) | {
        "device": torch.cuda.get_device_name(device),
        "bytes_per_s": bytes_per_s,
        "goal_over_floor_64": GOAL,
        "shapes": {name: asdict(SHAPES[name]) for name in options.models},
        "rows": [],
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        for name in options.models:
            report["rows"] += measure(name, Path(directory), options, bytes_per_s)
            OUTPUT.write_text(json.dumps(report, indent=1) + "\n")
    for told in report["rows"]:
        speed, share = told["tokens_per_s"], told["over_floor"]
        print(f"{told['model']} {told['batch']:4} {speed:9.0f} tokens/s, floor over step {share:.2f}")


if __name__ == "__main__":
    main()
