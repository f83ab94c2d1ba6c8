"""Arize Phoenix, unmodified, in an environment of its own: it takes OTLP over HTTP and is asked what it has."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.free_ports import free_ports
from tests.waiting import until

_READY_WITHIN_S = 180.0
_THERE_WITHIN_S = 30.0
_PROJECT = "default"


@dataclass(frozen=True, slots=True)
class Span:
    """As the collector tells it."""

    name: str
    id: str
    parent: str | None
    began: datetime
    ended: datetime
    attributes: dict[str, Any]
    status: str

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Span:
        return cls(
            row["name"],
            row["context"]["span_id"],
            row["parent_id"],
            datetime.fromisoformat(row["start_time"]),
            datetime.fromisoformat(row["end_time"]),
            row["attributes"],
            row["status_code"],
        )


class Collector:
    """A running one."""

    def __init__(self, address: str, process: Process) -> None:
        self.takes_at = f"{address}/v1/traces"
        self._process = process
        self._client = httpx.AsyncClient(base_url=address, timeout=10)

    async def is_ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return (await self._client.get("/healthz")).is_success
        return False

    async def spans(self, generation_id: str, least: int) -> dict[str, Span]:
        """Of this trace, by name, once there are `least`; those there are by then, if they do not all come."""
        found: dict[str, Span] = {}

        async def all_there() -> bool:
            question = {"trace_id": generation_id.replace("-", ""), "limit": "1000"}
            told = (await self._client.get(f"/v1/projects/{_PROJECT}/spans", params=question)).json()
            found.update({row["name"]: Span.from_json(row) for row in told.get("data", [])})
            return len(found) >= least

        await until(all_there, _THERE_WITHIN_S)
        return found

    async def end(self) -> None:
        """Nothing takes traces any more."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def running_collector(python: Path, directory: Path) -> AsyncIterator[Collector]:
    """On loopback, with its files in `directory`. Raises RuntimeError: it does not start."""
    port, other = free_ports(2)
    settings = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(other),
        "PHOENIX_WORKING_DIR": str(directory),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with (directory / "collector.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            str(python.with_name("phoenix")), "serve", env=os.environ | settings, stdout=log, stderr=log
        )
    collector = Collector(f"http://127.0.0.1:{port}", process)
    try:
        if not await until(collector.is_ready, _READY_WITHIN_S):
            raise RuntimeError(f"the collector does not start:\n{(directory / 'collector.log').read_text()[-2000:]}")
        yield collector
    finally:
        await collector.end()
