"""A lane whose questions come at given times: store, permits, worker, engine's process and frames are the real ones;
HTTP and RabbitMQ are left out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.capacity.demand import Question
from infra.embedded_store import embedded_store
from shared.broker.memory import MemoryBroker
from shared.chat import GenerationState, Origin, SamplingParams
from shared.messages import GenerateReply, GenerationChanged, TokensGenerated
from shared.settings import Settings, WorkerSettings
from shared.store import Store
from shared.topology import CHAT_JOBS, lane
from tests.bench.processes import Cores, pin
from tests.factories import generation
from workers.engine.engine_messages import Step
from workers.engine.process_engine import ProcessEngine
from workers.serve import load_model, serve_worker
from workers.served_model import ServedModel

_NODE = "bench-node"
_READY_S = 300.0


@dataclass(slots=True)
class Seen:
    """Of one answer, in seconds after the first question of the run was due."""

    asked_s: float
    first_s: float = 0.0  # its worker had the first token; one token need not be a character
    ended_s: float = 0.0
    state: str = ""

    @property
    def ttft_s(self) -> float:
        return self.first_s - self.asked_s


class LiveLane:
    """One worker, one node that watches everything."""

    def __init__(self, store: Store, broker: MemoryBroker, name: str) -> None:
        self._store, self._broker, self._lane = store, broker, name
        self._seen: dict[str, Seen] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._begun = time.perf_counter()

    async def play(self, questions: Sequence[Question], prompts: Sequence[str]) -> list[Seen]:
        """Each is asked when it is due, with as many tokens as it says. Raises RuntimeError if one fails."""
        self._begun = time.perf_counter()
        async with asyncio.TaskGroup() as asking:
            tasks = [asking.create_task(self._ask(*each)) for each in zip(questions, prompts, strict=True)]
        seen = [task.result() for task in tasks]
        if failed := [each.state for each in seen if each.state != GenerationState.DONE]:
            raise RuntimeError(f"{len(failed)} answers ended as {failed[0]}")
        return seen

    async def _ask(self, question: Question, prompt: str) -> Seen:
        await asyncio.sleep(max(0.0, question.asked_s - self._now()))
        asked = generation(
            lane=self._lane,
            origin=Origin.TEXT,
            question="",
            prompt=prompt,
            sampling=SamplingParams(temperature=0.0, max_new_tokens=question.answer_tokens),
            listeners=(_NODE,),
        )
        seen, ended = Seen(self._now()), asyncio.Event()
        self._seen[asked.id], self._ends[asked.id] = seen, ended
        await self._store.generations.add(asked)
        await self._broker.publish_permit(self._lane, GenerateReply(generation_id=asked.id))
        await ended.wait()
        return seen

    def stepped(self, step: Step) -> None:
        """Called with every step of the engine, as its worker hears of it."""
        now = self._now()
        for request_id, event in step.events:
            seen = self._seen.get(request_id.partition(".")[0])
            if seen is not None and event.token_id is not None:
                seen.first_s = seen.first_s or now

    async def hear(self, message: TokensGenerated | GenerationChanged) -> None:
        if isinstance(message, GenerationChanged) and GenerationState(message.state).is_final:
            seen = self._seen[message.generation_id]
            seen.ended_s, seen.state = self._now(), message.state
            self._ends[message.generation_id].set()

    def _now(self) -> float:
        return time.perf_counter() - self._begun


@contextlib.asynccontextmanager
async def live_lane(directory: Path, model: Path, cores: Cores, worker: WorkerSettings) -> AsyncIterator[LiveLane]:
    """Its worker is ready, with the engine on its core."""
    (directory / "store").mkdir()
    settings = Settings(model=str(model), worker=worker)
    broker = MemoryBroker()
    ready, stop = asyncio.Event(), asyncio.Event()

    def load(settings: Settings) -> ServedModel:
        served = load_model(settings, on_step=lambda step: live.stepped(step))
        assert isinstance(served.engine, ProcessEngine)
        pin(served.engine.pid, {cores.engine})
        return served

    async with embedded_store(directory / "store") as url, Store(url, "bench") as store:
        live = LiveLane(store, broker, lane(CHAT_JOBS, settings.model_name))
        async with broker.consume_node(_NODE, live.hear), asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(serve_worker(settings, broker, store, ready=ready, stop=stop, load=load))
            async with asyncio.timeout(_READY_S):
                await ready.wait()
            try:
                yield live
            finally:
                stop.set()
                await asyncio.wait([serving])
