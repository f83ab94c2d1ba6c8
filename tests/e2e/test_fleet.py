"""`nunmal fleet` from outside: real worker processes over RabbitMQ that die, come back and leave nothing behind."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.long_answers import LONG, ask, begin, environment, finished, person, stored, web
from tests.service import Person, Process

__all__ = ["environment", "person", "web"]  # fixtures

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(240)]  # up to four processes load a model


class FleetProcess(Process):
    def __init__(self, *arguments: str, **environment: str) -> None:
        super().__init__("fleet", *arguments, **environment)

    def until(self, pattern: str, timeout_s: float = 60) -> re.Match[str]:
        """Until a line that matches."""
        end = time.monotonic() + timeout_s
        while True:
            line = self._lines.get(timeout=max(0.01, end - time.monotonic()))
            assert line is not None, self.output
            self.output += line
            if match := re.search(pattern, line):
                return match

    def pids(self) -> list[int]:
        """Of its workers, in the order in which they were started."""
        return [int(pid) for pid in re.findall(r"started the worker .*\(process (\d+)\)", self.output)]

    def has_left_nothing(self, timeout_s: float = 10) -> bool:
        end = time.monotonic() + timeout_s
        while self.members() and time.monotonic() < end:
            threading.Event().wait(0.05)  # processes that are not our children tell nobody when they end
        return not self.members()


def test_killed_worker_comes_back_and_its_answers_go_on(environment: dict[str, str], web: str, person: Person) -> None:
    with FleetProcess("--workers", "2", **environment) as fleet:
        fleet.wait_ready()
        first, second = fleet.pids()
        assert {first, second} < set(fleet.members())
        turns = [ask(person, f"{number}번째 긴 이야기") for number in range(4)]  # both workers are full
        begun = [begin(person, *turn) for turn in turns]
        seen = [have.text for have in begun]

        os.kill(first, signal.SIGKILL)
        fleet.until(r"the worker number \d is gone \(killed by SIGKILL\); starting it again in 0.5 s")
        fleet.until(r"restarted the worker number \d")

        answers = [
            finished(environment, person, turn, have, text) for turn, have, text in zip(turns, begun, seen, strict=True)
        ]

    assert max(answer.attempt for answer in answers) == 2


@pytest.mark.parametrize(("number", "whole_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_signal_ends_everybody_after_their_answers(
    environment: dict[str, str], web: str, person: Person, number: signal.Signals, whole_group: bool
) -> None:
    with FleetProcess("--workers", "2", **environment) as fleet:
        fleet.wait_ready()
        turn = ask(person, "긴 이야기")
        have = begin(person, *turn)
        seen = have.text

        fleet.signal(number, whole_group=whole_group)
        code = fleet.wait(60)

        assert code == 0, fleet.output
        assert fleet.members() == []
        assert "Traceback" not in fleet.output
    assert finished(environment, person, turn, have, seen).attempt == 1


def test_second_signal_ends_it_at_once(environment: dict[str, str], web: str, person: Person) -> None:
    long_drain = {"NUNMAL_WORKER__DRAIN_S": "600"}
    with FleetProcess("--workers", "1", **environment | long_drain) as fleet:
        fleet.wait_ready()
        turn = ask(person, "긴 이야기")
        begin(person, *turn)
        fleet.signal(signal.SIGTERM, whole_group=False)
        began = time.monotonic()
        fleet.signal(signal.SIGINT, whole_group=False)
        fleet.wait(10)

        assert time.monotonic() - began < 3
        assert fleet.has_left_nothing()
    assert stored(environment, turn[1]).state != "done"
    person.post(turn[0], f"{turn[0]}/stop")


def test_killed_supervisor_takes_its_workers_along_and_they_hand_back(
    environment: dict[str, str], web: str, person: Person
) -> None:
    long_drain = {"NUNMAL_WORKER__DRAIN_S": "600"}
    with FleetProcess("--workers", "2", **environment | long_drain) as fleet:
        fleet.wait_ready()
        turn = ask(person, "긴 이야기")
        begin(person, *turn)

        fleet.signal(signal.SIGKILL, whole_group=False)

        assert fleet.has_left_nothing()
    left = stored(environment, turn[1])
    assert left.state == "queued"
    assert 0 < len(left.token_ids) < LONG
    person.post(turn[0], f"{turn[0]}/stop")


def test_wrong_set_up_ends_the_fleet_with_two(environment: dict[str, str], tmp_path: Path) -> None:
    with FleetProcess("--workers", "2", **environment | {"NUNMAL_MODEL": str(tmp_path / "nothing-here")}) as fleet:
        code = fleet.wait(60)

        assert code == 2
        assert fleet.has_left_nothing()
    assert "Traceback" not in fleet.output
    assert "nothing-here" in fleet.output
    assert re.search(r"^nunmal: the worker number \d cannot be set up as asked", fleet.output, re.MULTILINE)
    assert "restarted" not in fleet.output


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("fleet", "--gpus", "all"), "there is no GPU here; `nunmal fleet --workers N` runs N workers on CPUs"),
        (("worker", "--gpu", "7"), "there is no GPU 7 here (none was found)"),
    ],
)
def test_missing_gpu_is_said_in_one_line(environment: dict[str, str], command: tuple[str, ...], sentence: str) -> None:
    with Process(*command, **environment | {"CUDA_VISIBLE_DEVICES": ""}) as process:
        code = process.wait()

    assert (code, process.output) == (2, f"nunmal: {sentence}\n")
