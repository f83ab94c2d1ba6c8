"""`make bench-backbone`: what the way through web, RabbitMQ and worker costs. Writes build/bench/backbone.json.

    python -m tests.bench.backbone [--parts path messages first_text failover stop streams] [--rounds 3] [--samples 200]

Parts that are not asked for keep what the file had. BENCHMARKS.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import tempfile
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import first_text, handover, path, streams
from tests.bench.circumstances import circumstances
from tests.bench.processes import Cores, pinned
from tests.bench.site import running_site
from tests.service import ROOT

OUTPUT = ROOT / "build" / "bench" / "backbone.json"
PARTS = ("path", "messages", "first_text", "failover", "stop", "streams")
_IDLE, _LIVE = 5000, 200


async def _measure(part: str, options: argparse.Namespace, cores: Cores) -> dict[str, Any]:
    """Each part has a broker and a store of its own."""
    with tempfile.TemporaryDirectory() as directory, pinned(cores.others):
        async with running_site(Path(directory), cores) as site:
            match part:
                case "path":
                    return await path.measure(site, rounds=options.rounds, tokens=options.tokens)
                case "messages":
                    return await path.count_messages(site, tokens=options.tokens)
                case "first_text":
                    return await first_text.measure(site, samples=options.samples)
                case "failover":
                    return await handover.measure_failover(site)
                case "stop":
                    return await handover.measure_stop(site, samples=options.samples)
                case _:
                    return await streams.measure(site, idle=_IDLE, live=_LIVE, seconds=15)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=3, help="of the path beside the engine alone")
    parser.add_argument("--tokens", type=int, default=1024, help="of each of the 32 answers")
    parser.add_argument("--samples", type=int, default=200, help="of the time to the first text")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what we started is ended with us
    report: dict[str, Any] = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        cores = Cores.of_machine()
        at = circumstances("tests.bench.backbone", cores)
        print(f"bench: {part}", flush=True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            measured = runner.run(_measure(part, options, cores))
        report |= {name: value for name, value in measured.items() if name in _FIGURES}
        report.setdefault("samples", {})[part] = at | measured
        OUTPUT.write_text(json.dumps(report, indent=1) + "\n")
    for name in _FIGURES:
        print(f"{name}: {json.dumps(report.get(name))}")


_FIGURES = (
    "path_over_engine_32",
    "added_ttft_ms",
    "broker_messages_per_1000_tokens",
    "failover_50_s",
    "stop_to_next_ms",
    "kib_per_idle_stream",
    "streams_held",
    "live_delay_ms",
)

if __name__ == "__main__":
    main()
