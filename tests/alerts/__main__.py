"""`make alerts`: two web nodes and two workers over RabbitMQ and the store, watched by a real Prometheus. Every alert
of infra/prometheus/alerts.yml is made to fire by its symptom, and has to clear when that is over. Writes
build/alerts.json.

    python -m tests.alerts [--only NunmalNoWorkers ...]

The rules are a copy in which every `for` is 4 s and every window 30 s, so that it takes minutes; thresholds are the
real ones. promtool's tests (infra/prometheus/alerts.test.yml) hold the real durations. Ends with 1 if an alert did not
fire or did not clear, or if one exists that has no symptom here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.alerts.stand_in import StandIn
from tests.alerts.symptoms import SYMPTOMS, Site, Symptom, a_stand_in_tells
from tests.bench.circumstances import circumstances
from tests.bench.processes import Cores
from tests.chaos.client import Browser
from tests.chaos.system import WEBS, Launch, greedy_model, running_system
from tests.contract.promql import rules
from tests.prometheus_server import Prometheus, running_prometheus
from tests.service import ROOT
from tests.waiting import until

WORKERS = 2
PEOPLE = 24
_TALKING = 2  # of them, all the time: rates of what nobody does are no series
_FOR, _WINDOW, _EVERY = "4s", "30s", "2s"
_WITHIN_S = 240.0
_BUILD = ROOT / "build"
_WEB = {"NUNMAL_WEB__WAITING_ROOM": "40"}
_WORKER = {"NUNMAL_WORKER__KV_MEMORY_MIB": "2"}


def shortened(text: str) -> str:
    """Of a file of rules."""
    return re.sub(r"\[\d+m\]", f"[{_WINDOW}]", re.sub(r"\bfor: \w+", f"for: {_FOR}", text))


async def caused(symptom: Symptom, names: set[str], site: Site, prometheus: Prometheus) -> dict[str, dict[str, Any]]:
    """By alert: seconds from the symptom's beginning until it fired, and from its end until it cleared; None: never."""
    fired: dict[str, float] = {}
    cleared: dict[str, float] = {}
    begun = ended = time.monotonic()

    async def all_fire() -> bool:
        now = await prometheus.firing()
        fired.update({name: time.monotonic() - begun for name in names & now if name not in fired})
        return len(fired) == len(names)

    async def all_are_clear() -> bool:
        now = await prometheus.firing()
        cleared.update({name: time.monotonic() - ended for name in fired.keys() - now if name not in cleared})
        for name in names & now:
            cleared.pop(name, None)
        return not names & now

    await until(all_are_clear, _WITHIN_S)  # what went before may have raised one of them too
    begun = time.monotonic()
    async with symptom(site):
        await until(all_fire, _WITHIN_S)
    ended = time.monotonic()
    await until(all_are_clear, _WITHIN_S)
    return {
        name: {
            "symptom": symptom.__name__,
            "is_stand_in": symptom is a_stand_in_tells,
            "fired_after_s": fired.get(name),
            "cleared_after_s": cleared.get(name),
        }
        for name in sorted(names)
    }


async def alerts(only: set[str], seed: int) -> dict[str, dict[str, Any]]:
    for client in ("aio_pika", "aiormq"):  # that connections break is what we are here for
        logging.getLogger(client).setLevel(logging.CRITICAL)
    logs = _BUILD / "alerts"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    web = Launch([str(Path(sys.executable).with_name("nunmal")), "web"], _WEB)
    worker = Launch([sys.executable, "-m", "tests.chaos.planted"], _WORKER)
    found: dict[str, dict[str, Any]] = {}
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = await asyncio.to_thread(greedy_model, directory / "babbler")
        system = await stack.enter_async_context(
            running_system(model, directory, logs, [worker] * WORKERS, [web] * WEBS)
        )
        stand_in, ports = stack.enter_context(StandIn()), system.metrics_ports
        targets = {"nunmal-web": ports[:WEBS], "nunmal-worker": ports[WEBS:], "stand-in": [stand_in.port]}
        (directory / "prometheus").mkdir()
        prometheus = stack.enter_context(running_prometheus(directory / "prometheus", targets, shortened, _EVERY))
        people = [
            Browser(f"person {number}", list(system.webs), ["안녕?"], random.Random(f"{seed} {number}"))
            for number in range(PEOPLE)
        ]
        for person in people:
            stack.push_async_callback(person.close)
            await person.sign_up()
        talking = [asyncio.create_task(person.talk(asyncio.Event())) for person in people[:_TALKING]]
        site = Site(system, people[_TALKING:], stand_in)
        try:
            for symptom, names in SYMPTOMS.items():
                if wanted := {name for name in names if not only or name in only}:
                    await system.whole()
                    told = await caused(symptom, wanted, site, prometheus)
                    for name, times in told.items():
                        _say(
                            f"{name}: fired after {times['fired_after_s']}, cleared after {times['cleared_after_s']} s"
                        )
                    found |= told
        finally:
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)
    return found


def _say(line: str) -> None:
    sys.stdout.write(f"alerts: {line}\n")
    sys.stdout.flush()


def main() -> None:
    known = {str(rule["alert"]) for rule in rules("alerts.yml")}
    parser = argparse.ArgumentParser(
        prog="python -m tests.alerts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=sorted(known), default=[])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running
    at = circumstances("tests.alerts", Cores.of_machine())
    found = asyncio.run(alerts(set(options.only), options.seed))
    wanted = set(options.only) or known
    missing = sorted(wanted - found.keys())
    failed = sorted(
        name for name, told in found.items() if told["fired_after_s"] is None or told["cleared_after_s"] is None
    )
    shortening = {"for": _FOR, "windows": _WINDOW, "scraped_every": _EVERY}
    report = at | {"shortened": shortening, "alerts": found, "without_symptom": missing, "failed": failed}
    (_BUILD / "alerts.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    _say(f"{len(found) - len(failed)} of {len(wanted)} fired and cleared")
    for name in (*missing, *failed):
        _say(f"not met: {name}")
    sys.exit(1 if missing or failed else 0)


if __name__ == "__main__":
    main()
