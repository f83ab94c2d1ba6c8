"""`make soak`: two web nodes and two workers over RabbitMQ and the store under a small steady load. Writes
build/soak.json; ends with 1 if a bar was not met.

    python -m tests.soak [--minutes 15] [--warm-up-minutes 5] [--browsers 8] [--reference-size]

The bars: after the warm-up the resident memory of no process of ours grows by more than 8 % an hour (Theil-Sen; 2 % if
the run takes 90 minutes or more), no answer is lost, altered or doubled, open files and tasks do not grow, and
instruments take at most 1 % of the CPU (tests/soak/metered.py). `ttft_p99_drift` is told, and judged by nobody: other
work on the machine moves it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shared.settings import Settings
from tests.bench.circumstances import circumstances
from tests.bench.processes import Cores
from tests.chaos.checker import Answer, judge
from tests.chaos.client import Browser
from tests.chaos.system import MAX_NEW_TOKENS, WEBS, Launch, System, greedy_model, running_system
from tests.chaos.truth import true_answers
from tests.service import ROOT
from tests.soak.verdict import found
from tests.soak.watch import Watch
from tests.waiting import until

WORKERS = 2
PROMPTS = tuple(
    f"{topic}에 대한 이야기를 길게 들려주세요." for topic in ("바다", "기차", "첫눈", "시장", "라디오", "화분")
)
_BUILD = ROOT / "build"
_REST_WITHIN_S = 120.0
_SHAPE = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
_FREE_WITHIN_S = 15.0


class Reader(Browser):
    """A browser that remembers when it asked; the page with the form is fetched within that time."""

    asked: list[tuple[float, Answer]]

    async def ask(self, prompt: str, *, is_poison: bool = False, is_patient: bool = True) -> Answer:
        begun = time.monotonic()
        answer = await super().ask(prompt, is_poison=is_poison, is_patient=is_patient)
        self.asked.append((begun, answer))
        return answer


async def soak(options: argparse.Namespace) -> dict[str, Any]:
    """The report."""
    logs = _BUILD / "soak"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    web, worker = (Launch([sys.executable, "-m", "tests.soak.metered", room]) for room in ("web", "worker"))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        shape = _reference_shape() if options.reference_size else None
        model = await asyncio.to_thread(greedy_model, directory / "babbler", shape)
        truth = await true_answers(model, MAX_NEW_TOKENS, list(PROMPTS))
        async with running_system(model, directory, logs, [worker] * WORKERS, [web] * WEBS) as system:
            _say(f"all are ready: {options.minutes:g} minutes begin")
            return await _run(system, truth, options)


async def _run(system: System, truth: dict[str, str], options: argparse.Namespace) -> dict[str, Any]:
    chance, stop = random.Random(options.seed), asyncio.Event()
    readers = [
        Reader(f"reader {number}", list(system.webs), list(truth), random.Random(chance.random()))
        for number in range(options.browsers)
    ]
    watch = Watch(list(zip([*system.webs.values(), *system.workers], system.metrics_ports, strict=True)))
    begun = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        for reader in readers:
            reader.asked = []
            stack.push_async_callback(reader.close)
            await reader.sign_up()
        watching = asyncio.create_task(watch.keep_watching())
        talking = [asyncio.create_task(reader.talk(stop)) for reader in readers]
        broken, _ = await asyncio.wait(
            [watching, *talking], timeout=60 * options.minutes, return_when=asyncio.FIRST_EXCEPTION
        )
        for task in broken:  # nobody ends before they are told to: who did has broken
            task.result()
        watching.cancel()
        hours = (time.monotonic() - begun) / 3600
        stop.set()
        over, late = await asyncio.wait(talking, timeout=_REST_WITHIN_S)
        for task in over:
            task.result()
        for task in late:
            task.cancel()
        answers = [answer for reader in readers for answer in reader.answers]
        verdict = judge(answers, truth, await system.stored(), await _busy(system))
    warm_s = 60 * options.warm_up_minutes
    told = found(
        hours,
        {name: course.since(warm_s) for name, course in watch.courses.items()},
        [
            (at - begun, answer.transcript.grown_at[0] - at)
            for reader in readers
            for at, answer in reader.asked
            if answer.transcript.grown_at and at - begun >= warm_s
        ],
        verdict.lost_prompts,
    )
    problems = [*verdict.faults, *system.crashes, *(problem for reader in readers for problem in reader.problems)]
    courses = {name: asdict(course) for name, course in watch.courses.items()}
    return asdict(told) | {"answers": len(answers), "problems": problems, "courses": courses}


def _reference_shape() -> dict[str, Any]:
    config = json.loads((Path(Settings().model_source) / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config", config)
    return {name: text[name] for name in _SHAPE}


async def _busy(system: System) -> int:
    async def are_free() -> bool:
        return not await system.busy_slots()

    return 0 if await until(are_free, _FREE_WITHIN_S) else await system.busy_slots()


def _say(line: str) -> None:
    sys.stdout.write(f"soak: {line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--warm-up-minutes", type=float, default=5)
    parser.add_argument("--browsers", type=int, default=8)
    parser.add_argument(
        "--reference-size",
        action="store_true",
        help="a model as large as the one that ships, not a toy",
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.minutes < options.warm_up_minutes + 1:
        parser.error("after the warm-up at least a minute must be left")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running
    at = circumstances("tests.soak", Cores.of_machine())
    report = at | asyncio.run(soak(options))
    (_BUILD / "soak.json").write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for name in ("hours", "answers", "rss_slope_pct_per_hour", "lost_answers", "open_files", "tasks"):
        _say(f"{name}: {report[name]}")
    _say(f"ttft_p99_drift: {report['ttft_p99_drift']:+.2f}, metrics_cost: {report['metrics_cost']:.4f}")
    for fault in (*report["faults"], *report["problems"]):
        _say(f"not met: {fault}")
    sys.exit(1 if report["faults"] or report["problems"] else 0)


if __name__ == "__main__":
    main()
