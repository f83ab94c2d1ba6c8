"""Ways to answer prompts at once: our engine and its peers, each computing in a process on the engine's core.

Only the way that is asked runs: the others are stopped (SIGSTOP) meanwhile, so that what they do while idle disturbs
nobody. Front ends (the bench itself, for our engine) have the other cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from shared.settings import WorkerSettings
from tests.bench.engine_report import Sample
from tests.bench.peers.environments import BUILD, PeerMissing, installed
from tests.bench.processes import Cores, cpu_of_process, pin, pinned, spent_by_threads
from tests.service import ROOT, group_members
from workers.engine.base import Request
from workers.engine.engine_messages import Order
from workers.engine.process_engine import ProcessEngine

STATIC, CB, VLLM = "static", "transformers_cb", "vllm_cpu"
PEERS = (STATIC, CB, VLLM)
ROWS = 64  # answers at once, at most
DType = Literal["float32", "bfloat16"]

_READY_WITHIN_S = 300
_ANSWERED_WITHIN_S = 600
_LINE_BYTES = 1 << 26


class Way(Protocol):
    """Answers prompts at once, greedily, with exactly `new` tokens each."""

    async def answer(self, prompts: list[list[int]], new: int) -> tuple[Sample, list[list[int]]]:
        """Raises RuntimeError if it fails."""
        ...


@dataclass(slots=True)
class Answer:
    """The tokens of one answer, and when each came."""

    tokens: list[int] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)  # set with every token, and at the end
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class OurWay:
    """Our engine in its own process, as `make run` starts it."""

    engine: ProcessEngine

    async def answer(self, prompts: list[list[int]], new: int) -> tuple[Sample, list[list[int]]]:
        return await self.answer_with(prompts, new, [None])

    async def answer_with(
        self, prompts: list[list[int]], new: int, adapters: Sequence[str | None]
    ) -> tuple[Sample, list[list[int]]]:
        """The prompts take these adapters in turn."""
        with running(self.engine.pid):
            before, front, begun = _Spent.of([self.engine.pid]), time.process_time(), time.perf_counter()
            asked = (
                self.one(prompt, new, Answer(), adapters[row % len(adapters)]) for row, prompt in enumerate(prompts)
            )
            answers = await asyncio.gather(*asked)
            seconds = time.perf_counter() - begun
            sample = before.sample([self.engine.pid], seconds, len(prompts) * new, time.process_time() - front)
        if any(len(answer.tokens) != new for answer in answers):
            raise RuntimeError("an answer ended early")
        return sample, [answer.tokens for answer in answers]

    async def one(self, prompt: list[int], new: int, answer: Answer, adapter: str | None = None) -> Answer:
        """One answer, which is filled as its tokens come. Raises what the engine told of it."""
        request = Request(
            f"{id(answer)}",
            tuple(prompt),
            (),
            0,
            temperature=0.0,
            top_p=1.0,
            top_k=0,
            max_new_tokens=new,
            adapter=adapter,
        )
        try:
            async with aclosing(self.engine.submit(request)) as events:
                async for event in events:
                    if event.error is not None:
                        raise event.error
                    if event.token_id is not None:
                        answer.tokens.append(event.token_id)
                        answer.moments.append(time.perf_counter())
                        answer.arrived.set()
        finally:
            answer.is_over = True
            answer.arrived.set()
        return answer


@contextlib.asynccontextmanager
async def our_way(source: Path, dtype: DType, cores: Cores, most: int) -> AsyncIterator[OurWay]:
    """The settings of `make run`, but for what all ways share: one thread, ROWS slots, this dtype, `most` tokens."""
    settings = WorkerSettings(slots=ROWS, threads=1, device="cpu", dtype=dtype, max_new_tokens=most)

    def start() -> ProcessEngine:
        with pinned({cores.engine}):
            return ProcessEngine.start(Order(str(source), settings, "text", "warning"))

    engine = await asyncio.to_thread(start)
    try:
        pin(engine.pid, {cores.engine})
        os.kill(engine.pid, signal.SIGSTOP)
        yield OurWay(engine)
    finally:
        os.kill(engine.pid, signal.SIGCONT)
        await engine.close()


@dataclass(frozen=True, slots=True)
class PeerWay:
    """A program of tests/bench/peers in a process group of its own."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    async def answer(self, prompts: list[list[int]], new: int) -> tuple[Sample, list[list[int]]]:
        with running(-self.process.pid):
            pids = group_members(self.process.pid)
            before = _Spent.of(pids)
            told = await self._told({"prompts": prompts, "new": new})
            sample = before.sample(pids, told["seconds"], len(prompts) * new, 0.0)
        return sample, told["answers"]

    async def gaps(self, rows: list[list[int]]) -> list[float]:
        """Of static batching only: logits between the two likeliest tokens after each row."""
        with running(-self.process.pid):
            gaps: list[float] = (await self._told({"rows": rows}))["gaps"]
        return gaps

    async def ready(self) -> None:
        """Raises PeerMissing."""
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                await self._line()
        except (RuntimeError, TimeoutError) as error:
            raise PeerMissing(f"{self.name} did not start: see {self.log.relative_to(ROOT)}") from error

    async def _told(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        async with asyncio.timeout(_ANSWERED_WITHIN_S):
            return await self._line()

    async def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended: see {self.log.relative_to(ROOT)}")
        told: dict[str, Any] = json.loads(line)
        return told


@contextlib.asynccontextmanager
async def peer_way(peer: str, source: Path, dtype: DType, cores: Cores, tokens: int) -> AsyncIterator[PeerWay]:
    """`tokens`: most of one answer, its prompt included. Raises PeerMissing if it cannot start."""
    allowed = {cores.engine}
    match peer:
        case "static":
            python, arguments = Path(sys.executable), []
        case "transformers_cb":
            python, arguments = installed("transformers_serve"), ["cpu", str(ROWS), str(tokens)]
        case _:
            python, arguments = installed("vllm_cpu"), [str(cores.engine), str(ROWS), str(tokens)]
            allowed |= cores.others  # it puts its own thread onto the engine's core, and has other processes
    command = [str(python), "-m", f"tests.bench.peers.{peer}", str(source), dtype, *arguments]
    async with started_peer(peer, command, allowed) as way:
        for pid in group_members(way.process.pid):
            if os.sched_getaffinity(pid) != {cores.engine}:
                pin(pid, cores.others)
        os.killpg(way.process.pid, signal.SIGSTOP)
        yield way


@contextlib.asynccontextmanager
async def started_peer(peer: str, command: list[str], cores: set[int]) -> AsyncIterator[PeerWay]:
    """A peer whose model is loaded. Raises PeerMissing."""
    BUILD.mkdir(parents=True, exist_ok=True)
    log = BUILD / f"{peer}.log"
    with log.open("w") as said, pinned(cores):
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env=os.environ | _PEER_ENVIRONMENT | {"VLLM_CACHE_ROOT": str(BUILD / "vllm-cache")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            limit=_LINE_BYTES,
            start_new_session=True,
        )
    way = PeerWay(peer, process, log)
    try:
        await way.ready()
        yield way
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


_PEER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_NO_USAGE_STATS": "1",
}


@contextlib.contextmanager
def running(target: int) -> Iterator[None]:
    """A stopped process, or a process group given as its negative, runs inside."""
    os.kill(target, signal.SIGCONT)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(target, signal.SIGSTOP)


@dataclass(frozen=True, slots=True)
class _Spent:
    """By process: seconds on a core, and ready to run but kept from it."""

    cpu: dict[int, float]
    waited: dict[int, float]

    @classmethod
    def of(cls, pids: Sequence[int]) -> _Spent:
        waited = {pid: sum(spent.waited for spent in spent_by_threads(pid).values()) for pid in pids}
        return cls({pid: cpu_of_process(pid) for pid in pids}, waited)

    def sample(self, pids: Sequence[int], seconds: float, tokens: int, front_s: float) -> Sample:
        """What happened since. `front_s`: of a front end that is none of these processes."""
        now = _Spent.of(pids)
        cpu = {pid: now.cpu[pid] - self.cpu[pid] for pid in pids}
        worker = max(cpu, key=lambda pid: cpu[pid])
        return Sample(
            seconds, cpu[worker], sum(cpu.values()) + front_s, now.waited[worker] - self.waited[worker], tokens
        )
