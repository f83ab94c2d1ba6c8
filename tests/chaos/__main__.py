"""`make chaos`: break the whole service under load, and prove that no question and no character was lost.

40 browser-like clients ask and read without a break. Faults strike one after another; each counts only if it struck
answers that were being written. Afterwards every transcript, every final page and the store are compared with an
undisturbed run of the same questions. Writes build/chaos.json; ends with 1 if anything was lost, doubled or orphaned.

Without --injections every kind strikes once, and more follow for some minutes. --plant plants one fault in a worker
(tests/chaos/planted.py), which must be found.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.chaos.checker import Answer, Verdict, judge, percentile
from tests.chaos.client import Browser
from tests.chaos.injections import KINDS, Injection, Injector, Missed
from tests.chaos.report import report, table, write
from tests.chaos.system import MAX_NEW_TOKENS, System, greedy_model, planted_workers, running_system
from tests.chaos.truth import true_answers
from tests.service import ROOT
from tests.waiting import until

BROWSERS = 40

_BEGUN = time.monotonic()

_BUILD = ROOT / "build"
_INJECT_FOR_S = 330.0  # without --injections; a run then takes less than ten minutes
_MOST_MISSES = 5
_PERFORM_WITHIN_S = 180.0
_BACK_WITHIN_S = 40.0
_REST_WITHIN_S = 120.0
_SLOTS_FREE_WITHIN_S = 15.0
_PLANTED_WITHIN_S = 30.0
_TOPICS = (
    *("바다", "산책", "김치찌개", "첫눈", "도서관", "기차 여행", "고양이", "장마", "시장 구경", "별자리"),
    *("자전거", "커피", "한글", "봄나물", "캠핑", "라디오", "우산", "빵 굽기", "강아지", "등산"),
    *("손편지", "달리기", "화분", "사진", "영화관", "낮잠", "떡볶이", "가을 하늘", "수영", "박물관"),
    *("버스 창가", "전통차", "바둑", "벚꽃", "겨울잠", "섬마을", "피아노", "새벽", "국수", "골목길"),
)
PROMPTS = tuple(f"{topic}에 대한 이야기를 길게 들려주세요." for topic in _TOPICS)


class Run:
    """One run over a system that stands."""

    def __init__(
        self,
        system: System,
        truth: dict[str, str],
        seed: int,
        kinds: Sequence[str],
        least: int | None,
        plant: str,
    ) -> None:
        """`least`: injections to perform; None: for some minutes, or one round with a planted fault."""
        self._system = system
        self._choice = random.Random(seed)
        self._kinds = kinds
        self._least = least if least is not None else len(kinds)
        self._goes_on = least is None and not plant
        self._plant = plant
        self._truth = truth
        self._prompts = list(truth)
        self._people: list[Browser] = []
        self._problems: list[str] = []
        self.injections: list[Injection] = []

    @property
    def answers(self) -> list[Answer]:
        return [answer for person in self._people for answer in person.answers]

    async def perform(self) -> Verdict:
        stop = asyncio.Event()
        browsers = [self._person(f"person {number}") for number in range(BROWSERS)]
        for browser in browsers:
            await browser.sign_up()
        talking = [asyncio.create_task(browser.talk(stop)) for browser in browsers]
        try:
            await self._inject(Injector(self._system, browsers, self._choice, self._person))
            if self._plant:
                await self._plant_fault()
            stop.set()
            _say("at rest: waiting for the last answers")
            over, late = await asyncio.wait(talking, timeout=_REST_WITHIN_S)
            self._problems += [f"a browser broke: {error!r}" for task in over if (error := task.exception())]
            _say(f"{len(late)} browsers still wait" if late else "all browsers have their answers")
            return judge(self.answers, self._truth, await self._system.stored(), await self._busy_slots())
        finally:
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)
            for person in self._people:
                await person.close()

    @property
    def problems(self) -> list[str]:
        """What must not be either, beside what the verdict counts."""
        of_people = [problem for person in self._people for problem in person.problems]
        return self._problems + self._system.crashes + of_people

    async def _inject(self, injector: Injector) -> None:
        """Stops early, with a problem, if the system does not stand up again or too little can be struck."""
        misses = 0
        for kind in self._schedule():
            try:
                await self._system.whole()
            except TimeoutError:
                self._problems.append(f"not everything stood up again before {kind}")
                return
            try:
                async with asyncio.timeout(_PERFORM_WITHIN_S):
                    injection = await injector.perform(kind)
            except (Missed, TimeoutError) as reason:
                misses += 1
                _say(f"{kind}: missed, {reason or 'it took too long'}")
                if misses == _MOST_MISSES:
                    self._problems.append("too many injections were missed")
                    return
                continue
            misses = 0
            self.injections.append(injection)
            await self._back(injection)
            gaps = injection.gaps()
            told = f"{percentile(gaps, 50):.2f} s, at most {max(gaps):.2f} s" if gaps else "never"
            _say(f"{kind} ({injection.target}): struck {len(injection.struck)}, next character after {told}")

    def _schedule(self) -> Iterator[str]:
        """Rounds of all kinds, each in an order of its own, until there are enough and every kind was among them."""
        for _ in itertools.count():
            for kind in self._choice.sample(self._kinds, len(self._kinds)):
                done = Counter(injection.kind for injection in self.injections)
                is_enough = done.total() >= self._least and len(done) == len(self._kinds)
                if is_enough and not (self._goes_on and time.monotonic() - _BEGUN < _INJECT_FOR_S):
                    return
                if len(done) == len(self._kinds) or not done[kind]:
                    yield kind

    async def _back(self, injection: Injection) -> None:
        """Until every struck answer has gone on or is over."""

        async def all_go_on() -> bool:
            transcripts = (answer.transcript for answer in injection.struck)
            return all(each.is_over or each.grown_at[-1] > injection.at + 1.0 for each in transcripts)

        await until(all_go_on, _BACK_WITHIN_S)

    async def _plant_fault(self) -> None:
        self._system.plant_fault()

        async def is_done() -> bool:
            return self._system.plant_is_done

        if await until(is_done, _PLANTED_WITHIN_S):
            _say(f"planted: {self._plant}")
        else:
            self._problems.append("no process took the fault that was to be planted")

    async def _busy_slots(self) -> int:
        """Once none is, or after some seconds."""
        with contextlib.suppress(TimeoutError):
            await self._system.whole()

        async def are_free() -> bool:
            return not await self._system.busy_slots()

        return 0 if await until(are_free, _SLOTS_FREE_WITHIN_S) else await self._system.busy_slots()

    def _person(self, name: str) -> Browser:
        person = Browser(name, list(self._system.webs), self._prompts, random.Random(self._choice.random()))
        self._people.append(person)
        return person


async def chaos(seed: int, least: int | None, kinds: Sequence[str], plant: str) -> int:
    """The exit code."""
    for client in ("aio_pika", "aiormq"):  # that connections break is what we are here for
        logging.getLogger(client).setLevel(logging.CRITICAL)
    _say(f"chaos: seed {seed}{f', with one planted fault ({plant})' if plant else ''}")
    logs = _BUILD / "chaos"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        model = await asyncio.to_thread(greedy_model, directory / "babbler")
        truth = await true_answers(model, MAX_NEW_TOKENS, list(PROMPTS))
        _say(f"the truth: {len(truth)} answers of {MAX_NEW_TOKENS} tokens")
        _say("starting two web nodes, three workers, RabbitMQ and the store")
        async with running_system(model, directory, logs, planted_workers(directory, plant)) as system:
            _say("all are ready")
            run = Run(system, truth, seed, kinds, least, plant)
            verdict = await run.perform()
            found = report(seed, run.injections, verdict)
    write(found, _BUILD / "chaos.json")
    for line in (*table(found), *verdict.faults, *run.problems):
        _say(line)
    return 0 if verdict.is_clean and not run.problems else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{time.monotonic() - _BEGUN:6.1f} s  {line}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--injections", type=int, help="perform at least so many, every kind among them")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="only these")
    parser.add_argument("--plant", choices=("lost", "doubled", "orphan"), default="")
    return parser.parse_args()


if __name__ == "__main__":
    _given = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left running
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(chaos(_given.seed, _given.injections, _given.kinds, _given.plant)))
    sys.exit(130)
