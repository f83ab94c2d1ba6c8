"""Ending on purpose: workers finish or hand back, web nodes leave the balancer first, and a rolling restart loses
nothing."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from shared.ids import new_id
from tests.e2e.long_answers import ask, begin, environment, finished, person, stored, web
from tests.service import Person, Process, Transcript

__all__ = ["environment", "person", "web"]  # fixtures

pytestmark = pytest.mark.rabbitmq


def worker(environment: dict[str, str], drain_s: float) -> Process:
    return Process("worker", **environment | {"NUNMAL_WORKER__DRAIN_S": str(drain_s)})


def readiness(web: str) -> dict[str, Any]:
    report: dict[str, Any] = httpx.get(f"{web}/readyz").json()
    return report


class TestWorker:
    def test_with_time_it_finishes_its_answer_and_takes_no_new_one(
        self, environment: dict[str, str], web: str, person: Person
    ) -> None:
        with worker(environment, drain_s=60) as process:
            process.wait_ready()
            turn = ask(person, "긴 이야기")
            have = begin(person, *turn)
            seen = have.text

            process.signal(signal.SIGTERM)
            end = time.monotonic() + 5
            while readiness(web)["workers"]["slots"] and time.monotonic() < end:
                pass
            report = readiness(web)["workers"]
            later = ask(person, "나중 이야기")
            answer = finished(environment, person, turn, have, seen)
            code = process.wait(10)

        assert code == 0, process.output
        assert (report["alive"], report["slots"], report["busy"]) == (1, 0, 1)
        assert answer.attempt == 1
        waiting = stored(environment, later[1])
        assert (waiting.state, waiting.attempt) == ("queued", 0)
        person.post(later[0], f"{later[0]}/stop")

    def test_at_its_deadline_it_hands_back_and_another_goes_on_exactly(
        self, environment: dict[str, str], web: str, person: Person
    ) -> None:
        with worker(environment, drain_s=0.2) as first:
            first.wait_ready()
            turn = ask(person, "긴 이야기")
            have = begin(person, *turn)
            seen = have.text
            began = time.monotonic()
            first.signal(signal.SIGTERM)
            code = first.wait(10)
            took_s = time.monotonic() - began
        given_back = stored(environment, turn[1])
        with worker(environment, drain_s=0) as second:
            second.wait_ready()
            answer = finished(environment, person, turn, have, seen)

        assert code == 0, first.output
        assert took_s < 5
        assert given_back.state == "queued"
        assert answer.attempt == 2
        assert answer.token_ids[: len(given_back.token_ids)] == given_back.token_ids

    def test_second_signal_ends_it_at_once(self, environment: dict[str, str], web: str, person: Person) -> None:
        with worker(environment, drain_s=600) as process:
            process.wait_ready()
            turn = ask(person, "긴 이야기")
            begin(person, *turn)
            process.signal(signal.SIGTERM)
            process.signal(signal.SIGINT)
            began = time.monotonic()
            code = process.wait(10)

        assert code == 1
        assert time.monotonic() - began < 2
        person.post(turn[0], f"{turn[0]}/stop")


class TestWeb:
    def test_readiness_goes_first_then_streams_then_the_door(self, environment: dict[str, str], web: str) -> None:
        with Process("web", "--port", "0", **environment | {"NUNMAL_WEB__DRAIN_S": "3"}) as process:
            address = process.wait_ready()
            with Person(address) as person:
                person.sign_up(f"{new_id()}@example.com")
                turn = ask(person, "기다리는 이야기")
                before = httpx.get(f"{address}/readyz")
                stream = person.stream(*turn)
                next(stream)
                process.signal(signal.SIGTERM)
                began = time.monotonic()
                during = httpx.get(f"{address}/readyz")
                while during.status_code == 200 and time.monotonic() < began + 2:
                    during = httpx.get(f"{address}/readyz")
                page = person.get(turn[0])
                said_after_s = time.monotonic() - began
                for _ in stream:
                    pass
                ended_after_s = time.monotonic() - began
                code = process.wait(10)

            with person.at(web) as elsewhere:
                elsewhere.post(turn[0], f"{turn[0]}/stop")

        assert (before.status_code, before.json()["draining"]) == (200, False)
        assert (during.status_code, during.json()["draining"], during.json()["ready"]) == (503, True, False)
        assert said_after_s < 2
        assert page.status_code == 200
        assert 2.5 < ended_after_s < 6
        assert code == 0, process.output


@pytest.mark.timeout(300)  # eight processes begin, half of them one after the other
def test_rolling_restart_of_everything_loses_nothing(environment: dict[str, str]) -> None:
    """Two web nodes and two workers are replaced one by one while people read.

    A fast machine writes an answer in less than a second: all are asked together, and workers wait for no end."""
    people = 3
    settings = environment | {"NUNMAL_WEB__DRAIN_S": "0.5", "NUNMAL_WORKER__DRAIN_S": "0"}
    with contextlib.ExitStack() as stack:

        def start(*command: str) -> Process:
            return stack.enter_context(Process(*command, **settings))

        webs = [start("web", "--port", "0") for _ in range(2)]
        workers = [start("worker") for _ in range(2)]
        addresses = [process.wait_ready() for process in webs]
        for process in workers:
            process.wait_ready()
        is_in, has_begun = threading.Barrier(people), threading.Barrier(people + 1)

        def read(number: int) -> tuple[str, Transcript, int]:
            """As a browser behind a balancer: whenever a stream ends or fails, at the next address."""
            with Person(addresses[number % 2]) as person:
                person.sign_up(f"{new_id()}@example.com")
                is_in.wait(60)
                turn = ask(person, f"{number}번째 긴 이야기")
                have = begin(person, *turn, characters=0)
                has_begun.wait(60)
                tries = 0
                while not have.is_over:
                    seen = have.text
                    with contextlib.suppress(httpx.TransportError), person.at(addresses[tries % 2]) as again:
                        for _ in again.stream(*turn, have):
                            assert have.text.startswith(seen), "what was shown has changed"
                            seen = have.text
                    tries += 1
                return turn[1], have, tries

        with ThreadPoolExecutor(people) as pool:
            reading = [pool.submit(read, number) for number in range(people)]
            has_begun.wait(60)
            for process in workers:
                process.signal(signal.SIGTERM)
                assert process.wait(10) == 0, process.output
                start("worker").wait_ready()
            for number, process in enumerate(webs):
                process.signal(signal.SIGTERM)
                assert process.wait(10) == 0, process.output
                addresses[number] = start("web", "--port", "0").wait_ready()
            results = [future.result(90) for future in reading]

        answers = {generation_id: stored(environment, generation_id) for generation_id, _, _ in results}
    for generation_id, have, _ in results:
        assert have.state == answers[generation_id].state == "done"
        assert answers[generation_id].answer.startswith(have.text)
    assert max(answer.attempt for answer in answers.values()) > 1, "no worker was replaced in mid-answer"
