"""`make bench-adapters`: adapters reloaded under load, refused, and beside PEFT. Writes build/bench/adapters.json.

    python -m tests.bench.adapters [--parts hostile equality reloads] [--quick] [--seed 5]

Parts that are not asked for keep what the file had. BENCHMARKS.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from shared.errors import AdapterRefused
from tests.adapter_folders import checked, write_adapter
from tests.bench import adapter_equality, adapter_reloads
from tests.bench.circumstances import circumstances
from tests.bench.engine_models import reference_model
from tests.bench.processes import Cores
from tests.hostile_adapters import HOSTILE
from tests.service import ROOT

OUTPUT = ROOT / "build" / "bench" / "adapters.json"
PARTS = ("hostile", "equality", "reloads")
FIGURES = {
    "reloads": ("reloads", "dropped", "wrong_version", "pause_ms_p99", "throughput_ratio", "throughput_ratio_interval"),
    "hostile": ("hostile_total", "hostile_refused", "opened_by_pickle"),
    "equality": ("served_equals_offline",),
}

_unpickled: list[str] = []  # what a pickle loader looked up while `hostile` ran
_is_watching = False


def hostile(directory: Path) -> dict[str, Any]:
    """Each bundle at the door that every push goes through."""
    global _is_watching
    sys.addaudithook(_watch)
    refused: dict[str, str | None] = {}
    for number, (name, (spoil, _, _)) in enumerate(HOSTILE.items()):
        bundle = write_adapter(directory / str(number) / "adapter")
        spoil(bundle)
        _is_watching = True
        try:
            checked("hostile", bundle)
            refused[name] = None
        except AdapterRefused as error:
            refused[name] = error.code
        finally:
            _is_watching = False
    return {
        "hostile_total": len(refused),
        "hostile_refused": sum(code is not None for code in refused.values()),
        "opened_by_pickle": len(_unpickled),
        "rules": refused,
    }


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _is_watching and event == "pickle.find_class":
        _unpickled.append(".".join(map(str, arguments)))


async def _measure(part: str, directory: Path, options: argparse.Namespace) -> dict[str, Any]:
    match part:
        case "hostile":
            return hostile(directory)
        case "equality":
            prompts, tokens = (2, 12) if options.quick else (16, 64)
            model = reference_model(directory / "model")
            return await adapter_equality.compare(directory, model, prompts=prompts, tokens=tokens, seed=options.seed)
        case _:
            quick = {"reloads": 3, "streams": 4, "words": 2, "steps": 40, "apart_s": 2.0}
            full = {"reloads": 60, "streams": 32, "words": 4, "steps": 120, "apart_s": 5.0}
            model = reference_model(directory / "model")
            chosen: dict[str, Any] = quick if options.quick else full
            return await adapter_reloads.measure(directory, model, seed=options.seed, **chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="few versions and streams: to see that it works")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what we started is ended with us
    report: dict[str, Any] = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        print(f"bench: {part}", flush=True)
        at = circumstances("tests.bench.adapters", Cores.of_machine()) | {"seed": options.seed, "quick": options.quick}
        with (
            tempfile.TemporaryDirectory() as directory,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            measured = runner.run(_measure(part, Path(directory), options))
        report |= {name: measured.pop(name) for name in FIGURES[part]}
        report.setdefault("samples", {})[part] = at | measured
        report |= {"commit": at["commit"], "seed": options.seed}
        OUTPUT.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    for names in FIGURES.values():
        for name in names:
            print(f"{name}: {json.dumps(report.get(name))}")


if __name__ == "__main__":
    main()
