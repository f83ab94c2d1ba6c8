"""People behind the door of docker-compose.yml, while the web nodes behind it are replaced: nobody sees an error."""

from __future__ import annotations

import contextlib
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from shared.ids import new_id
from tests.door import running_door
from tests.e2e.long_answers import ask, begin, environment, stored
from tests.free_ports import free_ports
from tests.service import Person, Process

__all__ = ["environment"]  # a fixture

pytestmark = pytest.mark.rabbitmq


@pytest.mark.timeout(240)  # six processes begin, half of them one after the other
def test_both_nodes_are_replaced_and_nobody_sees_an_error(environment: dict[str, str], tmp_path: Path) -> None:
    ports = free_ports(2)
    settings = environment | {"NUNMAL_WEB__DRAIN_S": "3", "NUNMAL_WEB__TRUSTED_PROXIES": "127.0.0.0/8"}
    over = threading.Event()
    statuses: list[int] = []
    with contextlib.ExitStack() as stack:

        def start(*command: str) -> Process:
            process = stack.enter_context(Process(*command, **settings))
            process.wait_ready()
            return process

        nodes = [start("web", "--port", str(port)) for port in ports]
        start("worker")
        door = stack.enter_context(running_door(tmp_path, ports))
        reader, visitor = Person(door), Person(door)
        stack.enter_context(reader)
        stack.enter_context(visitor)
        reader.sign_up(f"{new_id()}@example.com")
        visitor.sign_up(f"{new_id()}@example.com")

        def look_again_and_again() -> None:
            while not over.wait(0.02):
                statuses.append(visitor.get("/chat").status_code)

        def read() -> tuple[str, str, str]:
            turn = ask(reader, "긴 이야기")
            have = begin(reader, *turn, characters=0)
            begun.wait(60)
            while not have.is_over:
                seen = have.text
                with contextlib.suppress(httpx.TransportError):  # a stream that was cut goes on with the next request
                    for _ in reader.stream(*turn, have):
                        assert have.text.startswith(seen)
            return turn[1], have.text, have.state

        begun = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            looking, reading = pool.submit(look_again_and_again), pool.submit(read)
            begun.wait(60)
            for number, node in enumerate(nodes):
                before = len(statuses)
                node.signal(signal.SIGTERM)
                assert node.wait(20) == 0, node.output
                start("web", "--port", str(ports[number]))
                assert len(statuses) > before, "nobody came meanwhile"
            generation_id, text, state = reading.result(90)
            over.set()
            looking.result(30)

    answer = stored(environment, generation_id)
    assert set(statuses) == {200}
    assert (state, answer.state) == ("done", "done")
    assert answer.answer.startswith(text)
