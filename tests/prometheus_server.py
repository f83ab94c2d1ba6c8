"""A real Prometheus (infra/services.sh installs it) on a port of its own, with the repository's rules."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.contract.promql import PROMETHEUS
from tests.free_ports import free_ports

RULES = ("recording.yml", "alerts.yml")


class Prometheus:
    def __init__(self, port: int) -> None:
        self.port = port

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

    async def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        return {series["metric"]["alertname"] for series in await self.ask('ALERTS{alertstate="firing"}')}


@contextlib.contextmanager
def running_prometheus(
    directory: Path,
    targets: Mapping[str, Sequence[int]],
    rewritten: Callable[[str], str] = lambda text: text,
    every: str = "1s",
) -> Iterator[Prometheus]:
    """Scrapes and judges `every` so often. `targets`: ports on this machine by job. `rewritten`: of the text of a file
    of rules."""
    (port,) = free_ports(1)
    for name in RULES:
        (directory / name).write_text(rewritten((PROMETHEUS / name).read_text(encoding="utf-8")), encoding="utf-8")
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": every, "evaluation_interval": every}
    config["scrape_configs"] = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
        for name, ports in targets.items()
    ]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [
        shutil.which("prometheus") or "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(30)
