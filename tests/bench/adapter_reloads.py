"""Sixty versions rolled out one after another while 32 answers are being written, each by the version it began with.

The way is the real one but for HTTP: questions in the store, permits, one worker with its engine in a process of its
own, frames to a web node's queue; each roll-out is fetched, verified, loaded, tested and acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import random
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.embedded_store import embedded_store
from shared.adapters.manifest import name_of
from shared.adapters.rollout import Alias, Outcome
from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState, Origin, SamplingParams
from shared.ids import new_id
from shared.messages import GenerateReply, GenerationChanged, TokensGenerated
from shared.publishing import Publishing
from shared.settings import Settings, WorkerSettings
from shared.store import Store
from tests.bench.adapter_training import WORDS, is_by, messages, trained, version
from tests.bench.figures import percentile
from tests.factories import generation
from tests.waiting import until
from workers.engine.engine_messages import Step
from workers.serve import load_model, serve_worker

NAME = "bench"
_NODE = "bench-node"
_TOKENS = 96
_READY_S = 600.0
_DRAWS = 2000


@dataclass
class _Steps:
    """When the engine stepped, and how many answers got a token."""

    taken: list[tuple[float, int]] = field(default_factory=list)

    def __call__(self, step: Step) -> None:
        if step.stats is not None:
            self.taken.append((time.perf_counter(), step.rows))

    def between(self, begun: float, ended: float) -> _Stretch:
        inside = [(at, rows) for at, rows in self.taken if begun <= at <= ended]
        moments = [at for at, _ in inside]
        gaps = [after - before for before, after in itertools.pairwise(moments)]
        return _Stretch(ended - begun, sum(rows for _, rows in inside), gaps)


@dataclass(frozen=True)
class _Stretch:
    seconds: float
    tokens: int
    gaps: list[float]  # seconds between two steps

    @property
    def longest_ms(self) -> float:
        return 1000 * max(self.gaps, default=0.0)

    @property
    def median_ms(self) -> float:
        return 1000 * statistics.median(self.gaps) if self.gaps else 0.0


class _Node:
    """Shows what it is sent: cut to the offset, append."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._ends: dict[str, asyncio.Future[str]] = {}

    def expect(self, generation_id: str) -> asyncio.Future[str]:
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ends[generation_id] = ended
        return ended

    async def __call__(self, message: TokensGenerated | GenerationChanged) -> None:
        if isinstance(message, TokensGenerated):
            for frame in message.frames:
                text = self.texts.get(frame.generation_id, "")
                self.texts[frame.generation_id] = text[: frame.offset] + frame.text
        elif GenerationState(message.state).is_final and (ended := self._ends.pop(message.generation_id, None)):
            ended.set_result(message.state)


class Reloads:
    """One worker, a store, and people who always ask again."""

    def __init__(self, store: Store, broker: MemoryBroker, node: _Node, steps: _Steps, seed: int) -> None:
        self.store, self._broker, self._node, self._steps = store, broker, node, steps
        self._chance = random.Random(f"{seed} questions")
        self._word_of: dict[str, str] = {}
        self.answers: list[dict[str, Any]] = []
        self.is_over = False

    async def push(self, directory: Path, word: str) -> str:
        manifest = await Publishing(self.store, self._broker).push(NAME, directory, "bench")
        self._word_of[manifest.version_id] = word
        return manifest.version_id

    async def roll_out(self, adapter: str) -> tuple[float, float]:
        """When it was asked for, and when the alias had moved. Raises RuntimeError if it did not."""
        begun = time.perf_counter()
        await Publishing(self.store, self._broker).activate(adapter, "bench", _READY_S)
        alias = await until(self._settled, _READY_S)
        ended = time.perf_counter()
        assert alias is not None
        if alias.last is None or alias.last.outcome is not Outcome.DONE or alias.active != adapter:
            raise RuntimeError(f"{adapter} was not taken: {alias.last}")
        return begun, ended

    async def _settled(self) -> Alias | None:
        alias = await self.store.adapters.alias(NAME)
        return None if alias.rollout else alias

    async def ask_again_and_again(self) -> None:
        while not self.is_over:
            alias = await self.store.adapters.alias(NAME)
            asked = _question(self._chance, alias.choose(new_id()))
            ended = self._node.expect(asked.id)
            await self.store.generations.add(asked)
            await self._broker.publish_permit(asked.lane, GenerateReply(generation_id=asked.id))
            await ended
            self.answers.append(await self._judged(asked))

    async def _judged(self, asked: Generation) -> dict[str, Any]:
        found = await self.store.generations.get(asked.id)
        assert found is not None and asked.adapter is not None
        shown = self._node.texts.pop(asked.id, "")
        is_whole = found.state is GenerationState.DONE and shown == found.answer and bool(found.answer)
        is_right = is_by(found.answer, self._word_of[asked.adapter])
        return {
            "adapter": asked.adapter,
            "dropped": not is_whole,
            "wrong_version": not is_right,
            **({} if is_whole and is_right else {"state": str(found.state), "answer": found.answer[:200]}),
        }


async def measure(
    directory: Path, model: Path, *, reloads: int, streams: int, words: int, steps: int, apart_s: float, seed: int
) -> dict[str, Any]:
    """`words`: how many adapters are trained, in `steps` each. `apart_s`: between two roll-outs, as long as is measured
    before each."""
    losses = {
        word: await asyncio.to_thread(trained, directory / word, model, word, steps=steps, seed=seed)
        for word in WORDS[:words]
    }

    async def everybody_was_answered() -> bool:  # in the mean once: the engine is warm, and all ask at other times
        return len(house.answers) >= streams

    step_log = _Steps()
    async with _house(directory, model, streams, step_log, seed) as house:
        base_digest = await _base_digest(house.store)
        versions = []
        for number in range(reloads + 1):
            word = WORDS[number % words]
            made = version(directory / f"version-{number}", directory / word, base_digest, number)
            versions.append(await house.push(made, word))
        await house.roll_out(versions[0])
        async with asyncio.TaskGroup() as asking:
            for _ in range(streams):
                asking.create_task(house.ask_again_and_again())
            if not await until(everybody_was_answered, _READY_S):
                raise RuntimeError("nobody answers")
            rounds = [await _reload(house, step_log, each, apart_s) for each in versions[1:]]
            house.is_over = True
    return _told(house, rounds, seed) | {"losses": losses, "streams": streams, "words": words, "seed": seed}


async def _reload(house: Reloads, steps: _Steps, adapter: str, apart_s: float) -> dict[str, Any]:
    before_begun = time.perf_counter()
    await asyncio.sleep(apart_s)
    begun, ended = await house.roll_out(adapter)
    before, during = steps.between(before_begun, begun), steps.between(begun, ended)
    return {
        "adapter": adapter,
        "seconds": ended - begun,
        "pause_ms": max(0.0, during.longest_ms - before.median_ms),
        "longest_gap_before_ms": before.longest_ms,
        "longest_gap_during_ms": during.longest_ms,
        "median_gap_before_ms": before.median_ms,
        "tokens_before": before.tokens,
        "seconds_before": before.seconds,
        "tokens_during": during.tokens,
    }


def _throughput_ratio(rounds: Sequence[dict[str, Any]]) -> float:
    before = sum(each["tokens_before"] for each in rounds) / sum(each["seconds_before"] for each in rounds)
    during = sum(each["tokens_during"] for each in rounds) / sum(each["seconds"] for each in rounds)
    return float(during / before)


def _interval(rounds: Sequence[dict[str, Any]], seed: int) -> tuple[float, float]:
    """95 % of the ratios of as many rounds drawn again: a roll-out takes a quarter of a second, in which an answer more
    or less that begins moves it by a tenth."""
    chance = random.Random(f"{seed} interval")
    drawn = [_throughput_ratio(chance.choices(rounds, k=len(rounds))) for _ in range(_DRAWS)]
    return percentile(drawn, 2.5), percentile(drawn, 97.5)


def _told(house: Reloads, rounds: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    return {
        "reloads": len(rounds),
        "dropped": sum(each["dropped"] for each in house.answers),
        "wrong_version": sum(each["wrong_version"] for each in house.answers),
        "pause_ms_p99": percentile([each["pause_ms"] for each in rounds], 99),
        "longest_gap_before_ms_p99": percentile([each["longest_gap_before_ms"] for each in rounds], 99),
        "throughput_ratio": _throughput_ratio(rounds),
        "throughput_ratio_interval": _interval(rounds, seed),
        "answers": len(house.answers),
        "not_right": [each for each in house.answers if each["dropped"] or each["wrong_version"]][:20],
        "rounds": rounds,
    }


@contextlib.asynccontextmanager
async def _house(directory: Path, model: Path, streams: int, steps: _Steps, seed: int) -> AsyncIterator[Reloads]:
    (directory / "store").mkdir()
    settings = Settings(model=str(model), worker=WorkerSettings(slots=streams, max_new_tokens=_TOKENS))
    broker, node = MemoryBroker(), _Node()
    ready, stop = asyncio.Event(), asyncio.Event()
    async with (
        embedded_store(directory / "store") as url,
        Store(url, "bench") as store,
        broker.consume_node(_NODE, node),
        asyncio.TaskGroup() as tasks,
    ):
        load = functools.partial(load_model, on_step=steps)
        serving = tasks.create_task(serve_worker(settings, broker, store, ready=ready, stop=stop, load=load))
        async with asyncio.timeout(_READY_S):
            await ready.wait()
        try:
            yield Reloads(store, broker, node, steps, seed)
        finally:
            stop.set()
            await asyncio.wait([serving])


async def _base_digest(store: Store) -> str:
    (document,) = await store._database["adapter_bases"].find({}).to_list(2)
    return str(document["_id"])


def _question(chance: random.Random, adapter: str | None) -> Generation:
    assert adapter is not None and name_of(adapter) == NAME
    return generation(
        lane="chat.model",
        origin=Origin.CHAT,
        question="",
        prompt=tuple(messages(chance)),
        adapter=adapter,
        sampling=SamplingParams(temperature=0.0, max_new_tokens=_TOKENS),
        listeners=(_NODE,),
    )
