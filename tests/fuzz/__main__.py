"""`make fuzz`: attack the whole service from outside, and prove that nothing gives way.

Tried are the doors of one person by everybody else, hostile words in every place that keeps them (seen with a real
browser), the served OpenAPI document (schemathesis), bytes that are no HTTP, and requests drawn from a seed until
there were REQUESTS. Writes build/fuzz.json; ends with 1 if anything but its `requests` is not 0.

All limits of the service are set so high that the fuzz does not reach them: every 5xx, 503 too, is a fault. What is
found is told with examples. --plant plants holes in the service (tests/fuzz/planted.py), which must be found.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from tests.fuzz import corpus, identity, scripts
from tests.fuzz.attacks import Attacker
from tests.fuzz.broken import broken_requests
from tests.fuzz.contract import fuzz_contract
from tests.fuzz.house import House, Identity, running_house
from tests.fuzz.tally import Tally
from tests.fuzz.wire import Request, Wire
from tests.service import ROOT

_BEGUN = time.monotonic()
_AT_ONCE = 16
_MODEL = "reference"
_SHORT = 5000  # fewer requests than this: less of what takes long
_PATIENCE_S = 0.3
_FEWEST_EXAMPLES, _MOST_EXAMPLES = 8, 200  # of schemathesis, for each operation and kind
_LIFE = 4_000  # requests
_REQUESTS, _WITH_HOLE = 100_000, 5_000
_FEWEST_DRAWN = 500  # however many went before
_TOGETHER = 8  # hostile pieces in one message
_PARTS = ("doors", "broken", "contract", "storm", "pages")


def fuzz(requests: int, seed: int, holes: Sequence[str], parts: Sequence[str], report: Path) -> int:
    """The exit code."""
    _say(f"fuzz: seed {seed}, at least {requests} requests{f', with planted holes: {holes}' if holes else ''}")
    with running_house(holes) as house:
        tally = house.tally
        try:
            identity.furnish(house)
            scripts.furnish(house)
            house.settle("M")
            tally.secrets = [word.encode() for word in house.words]
            _say(f"{len(house.people)} people have moved in")
            asyncio.run(_attack(house, requests, seed, parts))
        except Exception as error:  # what was counted is told all the same
            tally.fault(f"the fuzz broke: {error!r}")
        if not house.service.is_alive:
            tally.fault("the service is gone")
        elif code := house.service.end():
            tally.fault(f"the service ended with {code}")
        tally.tracebacks += len(re.findall(r"^Traceback \(", house.service.output, re.MULTILINE))
        _write(tally, house.service.output, report)
    return 0 if tally.is_clean else 1


async def _attack(house: House, requests: int, seed: int, parts: Sequence[str]) -> None:
    address, tally = urlsplit(house.address), house.tally
    wire = Wire(address.hostname or "", address.port or 0)
    try:
        if "doors" in parts:
            await identity.try_all_doors(house, wire, tally)
            _say(f"{tally.requests} requests: all doors of one person by everybody else")
        if "broken" in parts:
            for pieces in broken_requests(wire.name, house.identities["M"]):
                tally.see(b"".join(pieces), await wire.shout(pieces, _PATIENCE_S))
            _say(f"{tally.requests} requests: bytes that are no HTTP")
        if "contract" in parts:
            examples = min(_MOST_EXAMPLES, max(_FEWEST_EXAMPLES, requests // 400))
            await asyncio.to_thread(fuzz_contract, house.address, house.keys["M"], tally, seed=seed, examples=examples)
            _say(f"{tally.requests} requests: the OpenAPI document")
        if "storm" in parts:
            await _storm(house, wire, max(requests, tally.requests + _FEWEST_DRAWN), seed)
        if "pages" in parts:
            await _look(house, corpus.SCRIPTS[: 3 if requests < _SHORT else None])
            _say(f"{tally.requests} requests: pages in a real browser")
    finally:
        wire.close()


async def _look(house: House, texts: Sequence[str]) -> None:
    """At all that is kept, and at answers to `texts` while they come and at addresses that hold them."""
    live = ["\n\n".join(texts[at : at + _TOGETHER]) for at in range(0, len(texts), _TOGETHER)]
    reflected = [form.format(quote(text, safe="")) for text in texts for form in ("/{}", "/login?next={}")]
    await scripts.watch(house, house.tally, live=live, reflected=reflected)


async def _storm(house: House, wire: Wire, requests: int, seed: int) -> None:
    """Until so many were answered. Every M lives for some thousand requests: nobody has ten thousand conversations."""
    tally = house.tally
    member, ids = await asyncio.to_thread(_member, house, "M")
    attacker = Attacker(random.Random(seed), member, house.passer_by(), ids, _MODEL)
    drawn = attacker.requests(wire.name)
    while tally.requests < requests:
        begin, first = time.monotonic(), tally.requests
        await _send_many(wire, tally, drawn, min(_LIFE, requests - first))
        rate = (tally.requests - first) / (time.monotonic() - begin)
        _say(f"{tally.requests} requests, {rate:.0f}/s: forms, JSON, headers and addresses")
        if (await wire.send(attacker.member.get("/chat"))).status != 200:
            tally.fault("M has lost their session: nobody knows since when the attack was blunt")
        attacker.member, attacker.ids = await asyncio.to_thread(_member, house, f"M{tally.requests}")


def _member(house: House, name: str) -> tuple[Identity, list[str]]:
    """Somebody new, with two conversations."""
    if name not in house.people:
        house.settle(name)
    return house.identities[name], [house.ask(name, text).rpartition("/")[2] for text in ("물음 하나", "물음 둘")]


async def _send_many(wire: Wire, tally: Tally, drawn: Iterator[Request | bytes], count: int) -> None:
    async def send_on() -> None:
        for request in itertools.takewhile(lambda _: next(left, None) is not None, drawn):
            if isinstance(request, bytes):
                tally.see(request, await wire.shout([request], _PATIENCE_S))
                continue
            try:
                answer = tally.see(request.raw(b""), await wire.send(request))
                if answer.status == 0:
                    tally.fault("no answer", request.raw(b""))
            except TimeoutError:
                tally.fault("no answer in time", request.raw(b""))

    left = iter(range(count))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(send_on())


def _write(tally: Tally, output: str, report: Path) -> None:
    found = {
        name: getattr(tally, name) for name in ("requests", "status_5xx", "tracebacks", "scripts_run", "foreign_reads")
    }
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(found, indent=1) + "\n")
    report.with_suffix(".log").write_text(output)  # what the service said
    _say(f"statuses {dict(sorted(tally.statuses.items()))}")
    for line in tally.examples:
        _say(line)
    for what, count in tally.others.items():
        _say(f"{count} times: {what}")
    _say(", ".join(f"{name} {count}" for name, count in found.items()))


def _say(line: str) -> None:
    sys.stdout.write(f"{time.monotonic() - _BEGUN:6.1f} s  {line}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, help="perform at least so many; 100,000, or 5,000 with planted holes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plant", nargs="+", choices=("xss", "idor", "500"), default=())
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS, help="only these")
    parser.add_argument("--report", type=Path, default=ROOT / "build" / "fuzz.json")
    return parser.parse_args()


if __name__ == "__main__":
    _given = _arguments()
    _requests = _given.requests or (_WITH_HOLE if _given.plant else _REQUESTS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(fuzz(_requests, _given.seed, _given.plant, _given.parts, _given.report))
    sys.exit(130)
