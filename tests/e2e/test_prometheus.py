"""A real Prometheus over two web nodes and two workers: all is scraped, and every query gets its series."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.contract.promql import PROMETHEUS, named, rules
from tests.contract.test_grafana import BOARDS, queries
from tests.e2e.long_answers import environment
from tests.rabbitmq_node import free_ports
from tests.service import Person, Process
from tests.waiting import until

__all__ = ["environment"]  # a fixture

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(600)]

# Hardware, other people's plugins and what nobody did here.
_NOT_HERE = ("nunmal_gpu_", "nunmal_adapter_info", "rabbitmq_", "nunmal_request_failures_total")
_WITHIN_S = 180


class Prometheus:
    """On its own ports, with the repository's rules; scrapes every second."""

    person: Person  # who uses what is scraped

    def __init__(self, directory: Path, webs: list[int], workers: list[int]) -> None:
        (self.port,) = free_ports(1)
        for name in ("recording.yml", "alerts.yml"):
            shutil.copy(PROMETHEUS / name, directory)
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        targets = {"nunmal-web": webs, "nunmal-worker": workers}
        config["scrape_configs"] = [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
            for name, ports in targets.items()
        ]
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [
            shutil.which("prometheus") or "prometheus",  # infra/services.sh installs it
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    async def talk(self) -> None:
        """Somebody asks, and gets the whole answer: rates of what nobody does are no series."""
        await asyncio.to_thread(self._talk)

    def _talk(self) -> None:
        conversation = self.person.ask("안녕?")
        self.person.whole(conversation, self.person.turns(conversation)[-1].generation_id)

    async def ask(self, query: str) -> list[Any]:
        """The series that answer it; none while Prometheus starts. An expression it does not take is a failure."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            try:
                answer = await client.get("/api/v1/query", params={"query": query})
            except httpx.TransportError:
                return []
        if answer.status_code == 503:
            return []
        assert answer.status_code == 200, (query, answer.text)
        return list(answer.json()["data"]["result"])


@pytest.fixture(scope="module")
def prometheus(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    ports = free_ports(4)
    short = environment | {"NUNMAL_WORKER__MAX_NEW_TOKENS": "40"}
    with ExitStack() as stack:
        commands = [("web", "--port", "0")] * 2 + [("worker",)] * 2
        processes = [
            stack.enter_context(Process(*command, **short, NUNMAL_METRICS_PORT=str(port)))
            for command, port in zip(commands, ports, strict=True)
        ]
        address, *_ = [process.wait_ready(240) for process in processes]
        started = Prometheus(tmp_path_factory.mktemp("prometheus"), ports[:2], ports[2:])
        stack.callback(started.close)
        started.person = stack.enter_context(Person(address))
        started.person.sign_up("metrics@example.com")
        yield started


async def test_every_process_is_scraped(prometheus: Prometheus) -> None:
    async def all_up() -> bool:
        return len(await prometheus.ask("up == 1")) == 4

    assert await until(all_up, _WITHIN_S)


async def test_every_query_of_every_dashboard_gets_series(prometheus: Prometheus) -> None:
    asked = {query for path in BOARDS for query in queries(path) if not any(name in query for name in _NOT_HERE)}
    missing = {query.replace('"$instance"', '".*"') for query in asked}

    async def all_answered() -> bool:
        await prometheus.talk()
        for query in sorted(missing):
            if await prometheus.ask(query):
                missing.discard(query)
        return not missing

    assert await until(all_answered, _WITHIN_S), missing


async def test_every_series_of_every_alert_is_there(prometheus: Prometheus) -> None:
    missing = {name for rule in rules("alerts.yml") for name in named(rule["expr"]) if not name.startswith(_NOT_HERE)}

    async def all_there() -> bool:
        await prometheus.talk()
        for name in sorted(missing):
            if await prometheus.ask(f"count({name})"):
                missing.discard(name)
        return not missing

    assert await until(all_there, _WITHIN_S), missing


async def test_nothing_that_is_well_raises_an_alert(prometheus: Prometheus) -> None:
    assert await prometheus.ask('ALERTS{alertstate="firing"}') == []
