"""A house for tests of workers: the embedded broker, a real store, one web node, and workers with a tiny real model."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from shared.broker.base import Broker
from shared.chat import Generation, SamplingParams
from shared.messages import Frame, GenerateReply, GenerationChanged, TokensGenerated
from shared.settings import Settings, WorkerSettings
from shared.store import Store
from tests.factories import generation
from tests.tiny_models import CONTEXT_LENGTH, VOCABULARY, tiny_model, tiny_tokenizer, tiny_vocabulary
from workers.detokenizer import Detokenizer
from workers.engine.base import Engine
from workers.engine.facts import ModelFacts
from workers.engine.model_runner import ModelRunner
from workers.engine.sampling_defaults import SamplingDefaults
from workers.engine.transformers_engine import TransformersEngine
from workers.serve import serve_worker
from workers.served_model import ServedModel

LANE = "chat.tiny"
NODE = "node-1"
GREEDY = SamplingParams(temperature=0.0, max_new_tokens=40)
DRAWN = SamplingParams(temperature=1.0, top_k=50, top_p=0.95, max_new_tokens=40)


def serving_tiny_model() -> ServedModel:
    """A random Llama that never ends an answer by itself."""
    facts = ModelFacts("tiny", VOCABULARY, CONTEXT_LENGTH, frozenset())
    return served(TransformersEngine(ModelRunner(tiny_model()), facts, slots=16, prefill_chunk=64), 256)


def served(engine: Engine, max_new_tokens: int = 200) -> ServedModel:
    vocabulary = tiny_vocabulary()
    return ServedModel(
        "tiny",
        engine,
        tiny_tokenizer(),
        SamplingDefaults(0.0, 1.0, 0, max_new_tokens),
        None,
        "test",
        vocabulary,
        vocabulary.json_grammar,
    )


class Node:
    """A web node that shows what it is sent: cut to the offset, append. What a lost worker kept but did not send, it
    reads in the store, as web nodes do."""

    def __init__(self) -> None:
        self.store: Store | None = None
        self.texts: dict[str, str] = {}
        self.attempts: dict[str, int] = {}
        self.changes: list[tuple[str, str]] = []
        self.frames: list[Frame] = []
        self.messages = 0
        self._news = asyncio.Event()

    async def __call__(self, message: TokensGenerated | GenerationChanged) -> None:
        self.messages += 1
        if isinstance(message, GenerationChanged):
            self.changes.append((message.generation_id, message.state))
        else:
            for frame in message.frames:
                self.frames.append(frame)
                text = self.texts.get(frame.generation_id, "")
                if frame.offset > len(text) and frame.attempt > self.attempts.get(frame.generation_id, 0):
                    text = await self._kept(frame.generation_id)
                assert frame.offset <= len(text), "a gap"
                assert frame.attempt >= self.attempts.get(frame.generation_id, 0), "an attempt that was over"
                self.attempts[frame.generation_id] = frame.attempt
                self.texts[frame.generation_id] = text[: frame.offset] + frame.text
        self._news.set()

    async def _kept(self, generation_id: str) -> str:
        assert self.store is not None
        generation = await self.store.generations.get(generation_id)
        assert generation is not None
        return generation.answer

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def final(self, asked: Generation) -> str:
        """The state this generation ended in."""
        finals = {"done", "stopped", "failed"}
        await self.until(lambda: any(change[0] == asked.id and change[1] in finals for change in self.changes))
        return next(state for name, state in self.changes if name == asked.id and state in finals)


class House:
    """Store, broker and one web node, and workers to start and kill."""

    def __init__(self, store: Store, broker: Broker, node: Node) -> None:
        self.store, self.broker, self.node = store, broker, node
        node.store = store
        quick = WorkerSettings(slots=16, checkpoint_s=0.01, heartbeat_s=0.1, stale_after_s=2.0, frame_ms=5)
        self.settings = Settings(model="tiny", worker=quick)

    async def ask(self, question: str = "안녕하세요", **changes: object) -> Generation:
        asked = generation(lane=LANE, question=question, listeners=(NODE,), **({"sampling": GREEDY} | changes))
        await self.store.generations.add(asked)
        await self.broker.publish_permit(LANE, GenerateReply(generation_id=asked.id))
        return asked

    async def get(self, asked: Generation) -> Generation:
        found = await self.store.generations.get(asked.id)
        assert found is not None
        return found

    @contextlib.asynccontextmanager
    async def worker(
        self, load: Callable[[], ServedModel] = serving_tiny_model, store: Store | None = None, **changes: float
    ) -> AsyncIterator[Worker]:
        settings = self.settings.model_copy(update={"worker": self.settings.worker.model_copy(update=changes)})
        ready, stop = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(
            serve_worker(
                settings, self.broker, store or self.store, ready=ready, stop=stop, load=lambda settings: load()
            )
        )
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not ready.is_set():
            task.cancel()
            await task
        worker = Worker(task, stop)
        yield worker
        await worker.end()


class Worker:
    def __init__(self, task: asyncio.Task[None], stop: asyncio.Event) -> None:
        self._task, self._stop = task, stop

    async def end(self) -> None:
        self._stop.set()
        await self.ended(10)

    async def ended(self, within_s: float) -> None:
        """Until it has ended by itself."""
        async with asyncio.timeout(within_s):
            await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()

    async def kill(self) -> None:
        self._task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait({self._task})


def expected_text(token_ids: tuple[int, ...]) -> str:
    detokenizer = Detokenizer(tiny_tokenizer(), token_ids)
    detokenizer.finish()
    return detokenizer.text
