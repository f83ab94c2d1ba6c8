"""The service under chaos: two web nodes, three workers, RabbitMQ and the store, each a process that may die.

Every process has a process group of its own and a supervisor, which starts it again some seconds after its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from safetensors.torch import load_file, save_file
from transformers.utils.logging import disable_progress_bar

from shared.settings import load_settings
from shared.store.connection import Collection, open_client
from shared.topology import CHAT_JOBS, lane
from tests.chaos.checker import Stored
from tests.chaos.planted import POISONED
from tests.free_ports import free_ports
from tests.models import babbling_model
from tests.rabbitmq_node import RabbitNode, rabbitmq_node
from tests.service import ROOT, group_members
from tests.waiting import is_listening, until

MAX_NEW_TOKENS = 320
SLOTS = 20  # two workers can hold all browsers' answers, three a few more
WEBS = 2
WORKERS = 3

_RESTART_S = 4.0  # between the end of a process and its next start
_READY_S = 180.0
_DATABASE = "chaos"
_SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.4,
}


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process is started, and what its environment has beside that of all."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


_WEBS = (Launch([str(Path(sys.executable).with_name("nunmal")), "web"]),) * WEBS


class Service:
    """A command that is kept running. `ready` is set while it serves."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], logs: Path, port: int = 0) -> None:
        """`port`: it serves when something listens there; 0: when it says so."""
        self.name = name
        self.ready = asyncio.Event()
        self.ended_at: list[float] = []  # time.monotonic of each end
        self.crashes: list[str] = []  # ends that nobody wanted
        self._is_doomed = False  # somebody ends it
        self._command = command
        self._environment = environment
        self._logs = logs
        self._port = port
        self._child: asyncio.subprocess.Process | None = None
        self._log_file = logs

    async def keep(self, restart_s: float = _RESTART_S) -> None:
        """Run it, again and again, until cancelled."""
        for number in itertools.count(1):
            self._log_file = self._logs / f"{self.name}.{number}.log"
            with self._log_file.open("wb") as log_file:
                self._child = child = await asyncio.create_subprocess_exec(
                    *self._command,
                    cwd=ROOT,
                    env=self._environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log_file,
                    start_new_session=True,
                )
            self._is_doomed = False
            try:
                await self._serve(child)
                if self.ready.is_set() and not self._is_doomed and child.returncode != POISONED:
                    self.crashes.append(f"{self.name} ended by itself, see {self._log_file}")
            finally:
                self.ready.clear()
                self.ended_at.append(time.monotonic())
                self.signal(signal.SIGKILL)
            await asyncio.sleep(restart_s)

    async def _serve(self, child: asyncio.subprocess.Process) -> None:
        assert child.stdout
        if self._port:
            if not await until(functools.partial(is_listening, self._port), _READY_S):
                raise TimeoutError(f"{self.name} does not listen")
            self.ready.set()
        async for line in child.stdout:
            if b" is ready" in line:
                self.ready.set()
        await child.wait()

    @property
    def pids(self) -> list[int]:
        """Of its living processes, the one that was started first."""
        leader = self._child.pid if self._child else 0
        return sorted(group_members(leader), key=lambda pid: pid != leader) if leader else []

    def signal(self, number: signal.Signals) -> None:
        """To the whole process group, if there is one."""
        self._is_doomed = self._is_doomed or number in (signal.SIGKILL, signal.SIGTERM)
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)

    def kill_engine(self) -> None:
        """Of a worker: its engine's process alone. The worker ends by itself then."""
        self._is_doomed = True
        if self._child:
            for pid in group_members(self._child.pid):
                if pid != self._child.pid:
                    os.kill(pid, signal.SIGKILL)

    @property
    def worker_id(self) -> str:
        """What a ready worker calls itself, from its log."""
        lines = (json.loads(line) for line in self._log_file.read_text().splitlines() if '"worker_ready"' in line)
        return str(next(lines)["worker_id"])


@dataclass(frozen=True, slots=True)
class System:
    broker: RabbitNode
    store: Service
    webs: dict[str, Service]  # by address
    workers: list[Service]
    generations: Collection
    lane: str
    plant: Path  # when this file is made, the planted fault happens
    environment: dict[str, str]  # of every process
    metrics_ports: list[int]  # of the web nodes, then of the workers

    @property
    def crashes(self) -> list[str]:
        """Processes that ended although nobody ended them."""
        return [crash for service in (self.store, *self.webs.values(), *self.workers) for crash in service.crashes]

    def plant_fault(self) -> None:
        """Now. Exactly one process will take it."""
        self.plant.touch()

    @property
    def plant_is_done(self) -> bool:
        return not self.plant.exists()

    async def whole(self, within_s: float = _READY_S) -> None:
        """Until every process serves and every web node knows all workers. Raises TimeoutError."""
        async with asyncio.timeout(within_s), httpx.AsyncClient(timeout=10) as client:
            for service in (self.store, *self.workers, *self.webs.values()):
                await service.ready.wait()
            for address in self.webs:
                if not await until(functools.partial(_knows, len(self.workers), client, address), within_s):
                    raise TimeoutError(f"{address} does not know all workers")

    async def busy_slots(self) -> int:
        """Answers that the living workers say they write."""
        async with httpx.AsyncClient(timeout=10) as client:
            reports = [await _report(client, address) for address in self.webs]
        return max(int(report.get("busy", 0)) for report in reports)

    async def running(self) -> dict[str, tuple[str, int]]:
        """Answers being written: id to worker and tokens kept so far."""
        found = self.generations.find({"state": "running"}, {"worker_id": 1, "token_ids": 1})
        return {each["_id"]: (each["worker_id"], len(each["token_ids"])) async for each in found}

    async def stored(self) -> dict[str, Stored]:
        """All there is."""
        found = self.generations.find({}, {"state": 1, "answer": 1}, batch_size=200)
        return {each["_id"]: Stored(each["state"], each["answer"]) async for each in found}


async def _knows(workers: int, client: httpx.AsyncClient, address: str) -> bool:
    return (await _report(client, address)).get("alive") == workers


async def _report(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    with contextlib.suppress(httpx.TransportError):
        response = await client.get(f"{address}/readyz")
        if response.status_code == 200:
            return dict(response.json()["workers"])
    return {}


def planted_workers(directory: Path, plant: str) -> list[Launch]:
    """`plant`: a fault of tests/chaos/planted.py, or ""."""
    fault = [plant, str(directory / "plant")] if plant else []
    return [Launch([sys.executable, "-m", "tests.chaos.planted", *fault])] * WORKERS


@contextlib.asynccontextmanager
async def running_system(
    model: Path, directory: Path, logs: Path, workers: Sequence[Launch], webs: Sequence[Launch] = _WEBS
) -> AsyncIterator[System]:
    """Everything is ready inside. Web nodes get their ports as arguments."""
    for name in ("broker", "store"):
        (directory / name).mkdir()
    with rabbitmq_node(directory / "broker") as broker:
        system = _system(model, directory, logs, broker, workers, webs)
        async with asyncio.TaskGroup() as supervisors:
            tasks = [supervisors.create_task(system.store.keep(restart_s=1.0))]
            await system.store.ready.wait()
            tasks += [supervisors.create_task(service.keep()) for service in (*system.webs.values(), *system.workers)]
            try:
                await system.whole()
                yield system
            finally:
                for task in tasks:
                    task.cancel()


def _system(
    model: Path, directory: Path, logs: Path, broker: RabbitNode, workers: Sequence[Launch], webs: Sequence[Launch]
) -> System:
    store_port, *ports = free_ports(1 + 2 * len(webs) + len(workers))
    web_ports, metrics_ports = ports[: len(webs)], ports[len(webs) :]

    def own(launch: Launch, number: int) -> dict[str, str]:
        return environment | launch.environment | {"NUNMAL_METRICS_PORT": str(metrics_ports[number])}

    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUNMAL_")} | {
        "OMP_NUM_THREADS": "1",
        "NUNMAL_STORE_URL": f"mongodb://127.0.0.1:{store_port}/",
        "NUNMAL_STORE_DATABASE": _DATABASE,
        "NUNMAL_BROKER_URL": broker.url,
        "NUNMAL_SECRET_KEY": "a secret for this run only, long enough",
        "NUNMAL_MODEL": str(model),
        "NUNMAL_LOG_LEVEL": "info",
        "NUNMAL_LOG_FORMAT": "json",
        "NUNMAL_WEB__BCRYPT_ROUNDS": "4",
        "NUNMAL_WEB__TOKENS_PER_MINUTE": "0",
        "NUNMAL_WEB__TOKENS_PER_DAY": "0",
        "NUNMAL_WEB__SIGN_UPS_PER_ADDRESS": "10000",  # everybody signs up from here
        "NUNMAL_WORKER__THREADS": "1",
        "NUNMAL_WORKER__SLOTS": str(SLOTS),
        "NUNMAL_WORKER__DRAIN_S": "2",
        "NUNMAL_WORKER__MAX_NEW_TOKENS": str(MAX_NEW_TOKENS),
    }
    return System(
        broker,
        Service(
            "store",
            [sys.executable, "-m", "infra.embedded_store_process", str(directory / "store"), str(store_port)],
            environment,
            logs,
            store_port,
        ),
        {
            f"http://127.0.0.1:{port}": Service(f"web-{n}", [*web.command, "--port", str(port)], own(web, n - 1), logs)
            for n, (web, port) in enumerate(zip(webs, web_ports, strict=True), 1)
        },
        [
            Service(f"worker-{n}", worker.command, own(worker, len(webs) + n - 1), logs)
            for n, worker in enumerate(workers, 1)
        ],
        open_client(environment["NUNMAL_STORE_URL"])[_DATABASE]["generations"],
        lane(CHAT_JOBS, load_settings(environment).model_name),
        directory / "plant",
        environment,
        metrics_ports,
    )


def greedy_model(directory: Path, shape: dict[str, Any] | None = None) -> Path:
    """Of this shape, or a toy. It never ends an answer, says the same every time, and seldom says anything twice.

    Large weights make every word depend on all words before; the ban on what is no Hangul has to keep up with them.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]  # of transformers
    babbling_model(directory, max_new_tokens=MAX_NEW_TOKENS, shape=_SHAPE | (shape or {}))
    weights = load_file(directory / "model.safetensors")
    weights["lm_head.weight"][:, 0] *= 100
    save_file(weights, directory / "model.safetensors", {"format": "pt"})
    defaults = {"do_sample": False, "max_new_tokens": MAX_NEW_TOKENS}
    (directory / "generation_config.json").write_text(json.dumps(defaults))
    return directory
