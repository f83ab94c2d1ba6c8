"""A real Prometheus over two web nodes and two workers: all is scraped, and every query gets its series."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.contract.promql import named, rules
from tests.contract.test_grafana import BOARDS, queries
from tests.e2e.long_answers import environment
from tests.free_ports import free_ports
from tests.prometheus_server import Prometheus, running_prometheus
from tests.service import Person, Process
from tests.waiting import until

__all__ = ["environment"]  # a fixture

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(600)]

# Hardware, other people's plugins and what nobody did here.
_NOT_HERE = ("nunmal_gpu_", "nunmal_adapter_info", "rabbitmq_", "nunmal_request_failures_total")
_WITHIN_S = 180


class Watched:
    """Prometheus, and somebody who uses what it scrapes."""

    def __init__(self, server: Prometheus, person: Person) -> None:
        self.ask = server.ask
        self._person = person

    async def talk(self) -> None:
        """Somebody asks, and gets the whole answer: rates of what nobody does are no series."""
        await asyncio.to_thread(self._talk)

    def _talk(self) -> None:
        conversation = self._person.ask("안녕?")
        self._person.whole(conversation, self._person.turns(conversation)[-1].generation_id)


@pytest.fixture(scope="module")
def prometheus(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    ports = free_ports(4)
    short = environment | {"NUNMAL_WORKER__MAX_NEW_TOKENS": "40"}
    with ExitStack() as stack:
        commands = [("web", "--port", "0")] * 2 + [("worker",)] * 2
        processes = [
            stack.enter_context(Process(*command, **short, NUNMAL_METRICS_PORT=str(port)))
            for command, port in zip(commands, ports, strict=True)
        ]
        address, *_ = [process.wait_ready(240) for process in processes]
        targets = {"nunmal-web": ports[:2], "nunmal-worker": ports[2:]}
        server = stack.enter_context(running_prometheus(tmp_path_factory.mktemp("prometheus"), targets))
        person = stack.enter_context(Person(address))
        person.sign_up("metrics@example.com")
        yield Watched(server, person)


async def test_every_process_is_scraped(prometheus: Watched) -> None:
    async def all_up() -> bool:
        return len(await prometheus.ask("up == 1")) == 4

    assert await until(all_up, _WITHIN_S)


async def test_every_query_of_every_dashboard_gets_series(prometheus: Watched) -> None:
    asked = {query for path in BOARDS for query in queries(path) if not any(name in query for name in _NOT_HERE)}
    missing = {query.replace('"$instance"', '".*"') for query in asked}

    async def all_answered() -> bool:
        await prometheus.talk()
        for query in sorted(missing):
            if await prometheus.ask(query):
                missing.discard(query)
        return not missing

    assert await until(all_answered, _WITHIN_S), missing


async def test_every_series_of_every_alert_is_there(prometheus: Watched) -> None:
    missing = {name for rule in rules("alerts.yml") for name in named(rule["expr"]) if not name.startswith(_NOT_HERE)}

    async def all_there() -> bool:
        await prometheus.talk()
        for name in sorted(missing):
            if await prometheus.ask(f"count({name})"):
                missing.discard(name)
        return not missing

    assert await until(all_there, _WITHIN_S), missing


async def test_nothing_that_is_well_raises_an_alert(prometheus: Watched) -> None:
    assert await prometheus.ask('ALERTS{alertstate="firing"}') == []
