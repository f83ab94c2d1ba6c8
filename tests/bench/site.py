"""The service as an operator runs it, processes over RabbitMQ and the store, with the engine on a core of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from infra.embedded_store import embedded_store
from shared.chat import AccountRole
from shared.ids import new_id
from shared.settings import load_settings
from shared.store import Store
from shared.topology import CHAT_JOBS, lane
from tests.bench.client import Session
from tests.bench.processes import Cores, allow_many_files, pin, pinned
from tests.models import babbling_model
from tests.rabbitmq_node import rabbitmq_node
from tests.service import ROOT, Process
from web.security import Csrf
from web.session_token import new_token

MOST_TOKENS = 3000
_DAY = timedelta(days=1)
_SECRET = "a secret for the benchmark only, long enough"
# A decode step of 32 rows takes about 10 ms on a core of 2024.
_SHAPE = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 6}
_SAMPLING = {"do_sample": True, "temperature": 0.8, "top_k": 50, "top_p": 0.95}


def bench_model(directory: Path) -> Path:
    """Of a size that makes a step of 32 answers last about as long as that of a large model on a GPU."""
    babbling_model(directory, max_new_tokens=MOST_TOKENS, shape=_SHAPE)
    (directory / "generation_config.json").write_text(json.dumps(_SAMPLING | {"max_new_tokens": MOST_TOKENS}))
    return directory


@dataclass(frozen=True, slots=True)
class AloneRound:
    """What tests/bench/alone.py tells of questions that were answered at once."""

    seconds: float
    engine_cpu_s: float
    engine_waited_s: float  # for its core, which somebody else had
    tokens: int
    first_token_s: list[float]


@dataclass(frozen=True, slots=True)
class Alone:
    """The engine without the service (tests/bench/alone.py)."""

    questions: asyncio.StreamWriter
    measured: asyncio.StreamReader

    async def answer(self, questions: list[str]) -> AloneRound:
        """All of them at once."""
        self.questions.write(json.dumps(questions).encode() + b"\n")
        return AloneRound(**json.loads(await self.measured.readline()))


@dataclass(frozen=True, slots=True)
class Web:
    """A web node that runs."""

    address: str
    pid: int


@dataclass(frozen=True, slots=True)
class WorkerPids:
    """A worker that runs, and the process of its engine."""

    worker: int
    engine: int


@dataclass(frozen=True, slots=True)
class Site:
    """Broker and store run; web nodes and workers are started by whoever measures."""

    cores: Cores
    directory: Path
    store: Store
    broker_url: str
    environment: dict[str, str]

    @property
    def lane(self) -> str:
        return lane(CHAT_JOBS, load_settings(self.environment).model_name)

    @contextlib.contextmanager
    def web(self) -> Iterator[Web]:
        with pinned(self.cores.others), Process("web", "--port", "0", **self.environment) as process:
            address = process.wait_ready()
            (pid,) = process.members()
            yield Web(address, pid)

    @contextlib.contextmanager
    def worker(self, *, max_new_tokens: int, slots: int = 32, is_engine_apart: bool = True) -> Iterator[WorkerPids]:
        """A worker whose answers have that many tokens. Its engine's process is on the engine's core; so is the worker
        itself unless they are apart."""
        sizes = {"NUNMAL_WORKER__MAX_NEW_TOKENS": str(max_new_tokens), "NUNMAL_WORKER__SLOTS": str(slots)}
        with pinned({self.cores.engine}), Process("worker", **self.environment, **sizes) as process:
            process.wait_ready(120)
            (engine,) = set(process.members()) - {process.pid}
            if is_engine_apart:
                pin(process.pid, self.cores.others)
            yield WorkerPids(process.pid, engine)

    @contextlib.asynccontextmanager
    async def alone(self, *, max_new_tokens: int) -> AsyncIterator[Alone]:
        """The same model in a process of nothing else, on the same core. It sleeps until it is asked."""
        command = ("-m", "tests.bench.alone", self.environment["NUNMAL_MODEL"], str(max_new_tokens))
        with pinned({self.cores.engine}):
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT
            )
        assert process.stdin is not None and process.stdout is not None
        try:
            yield Alone(process.stdin, process.stdout)
        finally:
            process.stdin.close()
            await process.wait()

    async def session(self, address: str) -> Session:
        """Somebody who is logged in, without the cost of a password."""
        user = await self.store.users.create(f"{new_id()}@example.com", "지우", b"", AccountRole.USER)
        token = new_token(user.id)
        await self.store.sessions.create(token, user.id, _DAY)
        return Session(address, user.id, token, Csrf(_SECRET.encode()).token(token))


@contextlib.asynccontextmanager
async def running_site(directory: Path, cores: Cores) -> AsyncIterator[Site]:
    """Broker and store, and a model that never ends an answer by itself."""
    allow_many_files()
    for name in ("store", "broker"):
        (directory / name).mkdir()
    model = bench_model(directory / "babbler")
    with pinned(cores.others), rabbitmq_node(directory / "broker") as node:
        async with embedded_store(directory / "store") as store_url, Store(store_url, "bench") as store:
            environment = {
                "NUNMAL_STORE_URL": store_url,
                "NUNMAL_STORE_DATABASE": "bench",
                "NUNMAL_BROKER_URL": node.url,
                "NUNMAL_SECRET_KEY": _SECRET,
                "NUNMAL_MODEL": str(model),
                "NUNMAL_WEB__TOKENS_PER_MINUTE": "0",
                "NUNMAL_WEB__TOKENS_PER_DAY": "0",
            }
            yield Site(cores, directory, store, node.url, environment)
