"""`make bench-engine`: our engine beside its peers on the same weights. Writes build/bench/engine.json.

    python -m tests.bench.engine [--parts reference others http adapters warm prefill] [--quick] [--minutes 50]

Parts that are not asked for keep what the file had. BENCHMARKS.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from shared.errors import NunmalError
from tests.bench import engine_http, engine_latency
from tests.bench.circumstances import circumstances, commit
from tests.bench.engine_models import random_llama, reference_model
from tests.bench.engine_report import Equality, Run, ratios
from tests.bench.engine_throughput import Bench, Load, Measured, measure
from tests.bench.engine_ways import CB, PEERS, STATIC, VLLM, DType, our_way
from tests.bench.peers.environments import BUILD, PeerMissing
from tests.bench.processes import Cores, pinned
from tests.service import ROOT

OUTPUT = ROOT / "build" / "bench" / "engine.json"
PARTS = ("reference", "http", "adapters", "warm", "prefill", "others")
BATCHES = (1, 16, 64)
PEER_OF = {f"over_{name}": way for name, way in (("static", STATIC), ("transformers_cb", CB), ("vllm_cpu", VLLM))}
_REFERENCE, _LLAMA = "reference", "llama-126m"
_ALL = ("ours", *PEERS)


def reference_loads(*, quick: bool) -> list[Load]:
    """What the figures are made of."""
    return [Load(64, 32 if quick else 96, batch, 2 if quick else 5, _ALL) for batch in BATCHES]


def other_loads(*, quick: bool) -> list[tuple[str, DType, list[Load]]]:
    """Other lengths, precisions and models. transformers' continuous batching takes minutes for 64 prompts of 512
    tokens: its mask is as long as all of them together."""
    if quick:
        return [
            (_REFERENCE, "float32", [Load(512, 16, 16, 1, _ALL)]),
            (_LLAMA, "bfloat16", [Load(64, 16, 16, 1, _ALL)]),
        ]
    short = [Load(64, 64, batch, 2, _ALL) for batch in BATCHES]
    long = [Load(512, 64, batch, 2, _ALL if batch < 64 else ("ours", STATIC, VLLM)) for batch in BATCHES]
    large = [Load(64, 64, 1, 2, _ALL), Load(64, 64, 16, 2, _ALL), Load(64, 64, 64, 1, _ALL), Load(512, 64, 16, 1, _ALL)]
    return [
        (_REFERENCE, "float32", long),
        (_REFERENCE, "bfloat16", short + long[:2]),
        (_LLAMA, "float32", large),
        (_LLAMA, "bfloat16", large),
    ]


async def _reference(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    measured = await measure(
        bench, _REFERENCE, _model(bench, _REFERENCE), "float32", reference_loads(quick=options.quick)
    )
    told: dict[str, Any] = {name: ratios(measured.runs, way, BATCHES) for name, way in PEER_OF.items()}
    by_cpu = {name: ratios(measured.runs, way, BATCHES, by_cpu=True) for name, way in PEER_OF.items()}
    equality = measured.equality.get(64, Equality())
    return told | {"outputs_equal": equality.told(), "by_cpu": by_cpu} | _told_of([measured])


async def _others(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    found = []
    for model, dtype, loads in other_loads(quick=options.quick):
        print(f"bench: {model} {dtype}", flush=True)
        found.append(await measure(bench, model, _model(bench, model), dtype, loads))
    return _told_of(found)


def _told_of(found: list[Measured]) -> dict[str, Any]:
    return {
        "runs": [run for measured in found for run in measured.runs],
        "missing": [measured.missing for measured in found if measured.missing],
        "no_time_left_for": [asdict(load) for measured in found for load in measured.skipped],
    }


def _model(bench: Bench, name: str) -> Path:
    directory = bench.directory / name
    if not directory.exists():
        return reference_model(directory) if name == _REFERENCE else random_llama(directory, bench.seed)
    return directory


async def _alone(bench: Bench, options: argparse.Namespace, part: str) -> dict[str, Any]:
    """The parts that compare our engine with itself."""
    model, rounds = _model(bench, _REFERENCE), 2 if options.quick else 7
    async with our_way(model, "float32", bench.cores, 4000) as way:
        match part:
            case "adapters":
                return await engine_latency.mixed_adapters(
                    bench, way, model, rounds=rounds, new=32 if options.quick else 96
                )
            case "warm":
                return await engine_latency.warm_turns(bench, way, rounds=2 * rounds)
            case _:
                beside = (16,) if options.quick else (4, 16, 32)
                return await engine_latency.long_prompt(bench, way, rounds=rounds, beside=beside)


async def _measure(part: str, bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    match part:
        case "reference":
            return await _reference(bench, options)
        case "others":
            return await _others(bench, options)
        case "http":
            new = 32 if options.quick else 128
            model = _model(bench, _REFERENCE)
            return await engine_http.over_serve(bench, model, rounds=1 if options.quick else 5, new=new)
        case _:
            return await _alone(bench, options, part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="few rounds and tokens: to see that it works")
    parser.add_argument("--minutes", type=float, default=45, help="no round is begun that would end later")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what we started is ended with us
    report: dict[str, Any] = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    ends_at = time.monotonic() + options.minutes * 60
    cores = Cores.of_machine()
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(cores, Path(directory), options.seed, commit(), ends_at)
        for part in options.parts:
            at = circumstances("tests.bench.engine", cores)
            print(f"bench: {part}", flush=True)
            # A server is measured on all cores, as an operator runs it; everything else leaves the engine's alone.
            usable = cores.others if part != "http" else {cores.engine, *cores.others}
            try:
                with pinned(usable), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    measured = runner.run(_measure(part, bench, options))
            except (NunmalError, RuntimeError, PeerMissing, TimeoutError, ValueError) as error:  # the others go on
                failed.append(part)
                measured = dict.fromkeys(FIGURES_OF.get(part, ())) | {"why_null": f"{type(error).__name__}: {error}"}
                print(f"bench: {part} failed: {measured['why_null']}", flush=True)
            merge(report, part, at | measured)
            OUTPUT.write_text(json.dumps(report, indent=1) + "\n")
    for name in NAMES:
        print(f"{name}: {json.dumps(report.get(name))[:200]}")
    sys.exit(1 if failed else 0)


FIGURES_OF = {
    "reference": (*PEER_OF, "outputs_equal"),
    "http": ("over_transformers_serve_32",),
    "adapters": ("mixed_adapters_4_over_none",),
    "warm": ("warm_ttft_over_cold",),
    "prefill": ("tbt_during_prefill_over_normal",),
}
NAMES = tuple(name for names in FIGURES_OF.values() for name in names)


def merge(report: dict[str, Any], part: str, measured: dict[str, Any]) -> None:
    """Figures to the top, runs into `runs`, where they replace those of the same part, and all else under the part."""
    runs: list[Run] = measured.pop("runs", [])
    report |= {name: measured[name] for name in NAMES if name in measured}
    kept = [run for run in report.get("runs", []) if run["part"] != part]
    report["runs"] = kept + [{"part": part} | run.told() for run in runs]
    report.setdefault("samples", {})[part] = measured


if __name__ == "__main__":
    main()
