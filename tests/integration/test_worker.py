"""A whole worker on the embedded broker, a real store and a tiny real model: from a permit to the final answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import Histogram

from shared import recovery
from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState, SamplingParams
from shared.errors import StoreUnavailable
from shared.messages import CancelGeneration, Frame, GenerateReply, GenerationChanged, TokensGenerated, WatchGeneration
from shared.settings import Settings, WorkerSettings
from shared.store import Store
from shared.telemetry import CANCEL_LATENCY, FORECAST_ERROR
from tests.factories import generation
from tests.scripted_engine import ScriptedEngine
from tests.tiny_models import CONTEXT_LENGTH, VOCABULARY, save_tiny_model, tiny_model, tiny_tokenizer
from workers.detokenizer import Detokenizer
from workers.engine.model_runner import ModelRunner
from workers.engine.sampling_defaults import SamplingDefaults
from workers.engine.transformers_engine import ModelFacts, TransformersEngine
from workers.open_model import open_model
from workers.serve import serve_worker
from workers.served_model import ServedModel

LANE = "chat.tiny"
NODE = "node-1"
GREEDY = SamplingParams(temperature=0.0, max_new_tokens=40)
DRAWN = SamplingParams(temperature=1.0, top_k=50, top_p=0.95, max_new_tokens=40)


def serving_tiny_model() -> ServedModel:
    """A random Llama that never ends an answer by itself."""
    facts = ModelFacts("tiny", VOCABULARY, CONTEXT_LENGTH, frozenset())
    engine = TransformersEngine(ModelRunner(tiny_model()), facts, slots=16, prefill_chunk=64)
    return ServedModel("tiny", engine, tiny_tokenizer(), SamplingDefaults(0.0, 1.0, 0, 256), None, "test")


class Node:
    """A web node that shows what it is sent: cut to the offset, append."""

    def __init__(self) -> None:
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
                assert frame.offset <= len(text), "a gap"
                assert frame.attempt >= self.attempts.get(frame.generation_id, 0), "an attempt that was over"
                self.attempts[frame.generation_id] = frame.attempt
                self.texts[frame.generation_id] = text[: frame.offset] + frame.text
        self._news.set()

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

    def __init__(self, store: Store, broker: MemoryBroker, node: Node) -> None:
        self.store, self.broker, self.node = store, broker, node
        quick = WorkerSettings(slots=16, checkpoint_s=0.01, heartbeat_s=0.1, stale_after_s=0.5, frame_ms=5)
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
        async with asyncio.timeout(10):
            await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()

    async def kill(self) -> None:
        self._task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait({self._task})


@pytest.fixture
async def house(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[House]:
    node = Node()
    async with memory_broker.consume_node(NODE, node):
        yield House(store, memory_broker, node)


def _observed(histogram: Histogram) -> float:
    """How many values of the model `tiny` it has."""
    samples = (sample for metric in histogram.collect() for sample in metric.samples)
    return sum(each.value for each in samples if each.name.endswith("_count") and each.labels["model"] == "tiny")


def expected_text(token_ids: tuple[int, ...]) -> str:
    detokenizer = Detokenizer(tiny_tokenizer(), token_ids)
    detokenizer.finish()
    return detokenizer.text


async def test_an_answer_is_streamed_stored_and_acknowledged(house: House) -> None:
    async with house.worker():
        asked = await house.ask()
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.state is GenerationState.DONE
    assert len(found.token_ids) == 40
    assert found.answer == house.node.texts[asked.id] == expected_text(found.token_ids)
    assert "\ufffd" not in found.answer
    assert house.node.changes == [(asked.id, "running"), (asked.id, "done")]
    assert found.first_token_at is not None


async def test_sixteen_answers_at_once_all_end_and_share_messages(house: House) -> None:
    async with house.worker(frame_ms=20):
        asked = [await house.ask(f"질문 {number}", sampling=DRAWN, seed=number) for number in range(16)]
        for each in asked:
            assert await house.node.final(each) == "done"

    for each in asked:
        found = await house.get(each)
        assert found.answer == house.node.texts[each.id] == expected_text(found.token_ids)
    assert house.node.messages < len(house.node.frames) + 2 * len(asked), "frames travel together"


async def test_an_answer_does_not_depend_on_who_shares_the_batch(house: House) -> None:
    async with house.worker():
        alone = await house.ask("혼자", sampling=DRAWN, seed=5)
        await house.node.final(alone)
        crowd = [await house.ask(f"질문 {number}", sampling=DRAWN, seed=number) for number in range(8)]
        again = await house.ask("혼자", sampling=DRAWN, seed=5)
        for each in (*crowd, again):
            await house.node.final(each)

    assert (await house.get(again)).answer == (await house.get(alone)).answer


async def test_earlier_turns_are_part_of_the_prompt(house: House) -> None:
    async with house.worker():
        first = await house.ask("첫 질문")
        await house.node.final(first)
        same = {"conversation_id": first.conversation_id}
        follows = await house.ask("그리고?", parent_id=first.id, **same)
        fresh = await house.ask("그리고?")
        await house.node.final(follows)
        await house.node.final(fresh)

    assert (await house.get(follows)).answer != (await house.get(fresh)).answer


async def test_stop_ends_the_answer_with_what_it_has(house: House) -> None:
    sampling = SamplingParams(temperature=0.0, max_new_tokens=256)
    async with house.worker():
        asked = await house.ask(sampling=sampling)
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > 3)
        await house.store.generations.request_cancel(asked.id, asked.user_id)
        await house.broker.publish_control(CancelGeneration(generation_id=asked.id), None)
        assert await house.node.final(asked) == "stopped"

    found = await house.get(asked)
    assert 0 < len(found.token_ids) < 256
    assert found.answer == house.node.texts[asked.id] == expected_text(found.token_ids)


async def test_a_stop_gives_the_slot_to_who_waits_and_is_measured(house: House) -> None:
    engine = ScriptedEngine(vocabulary=VOCABULARY, context_length=CONTEXT_LENGTH, stop_ids=frozenset())
    model = ServedModel("tiny", engine, tiny_tokenizer(), SamplingDefaults(0.0, 1.0, 0, 200), None, "test")
    before = _observed(CANCEL_LATENCY)
    async with house.worker(lambda: model, slots=1):
        engine.pause()
        running = await house.ask(sampling=SamplingParams(max_new_tokens=200))
        await house.node.until(lambda: (running.id, "running") in house.node.changes)
        waiting = await house.ask(sampling=SamplingParams(max_new_tokens=5))
        await house.broker.publish_control(CancelGeneration(generation_id=running.id), None)
        assert await house.node.final(running) == "stopped"
        await house.node.until(lambda: (waiting.id, "running") in house.node.changes)
        engine.resume()
        assert await house.node.final(waiting) == "done"

    assert _observed(CANCEL_LATENCY) == before + 1


async def test_the_error_of_a_forecast_is_observed_when_its_turn_comes(house: House) -> None:
    before = _observed(FORECAST_ERROR)
    async with house.worker():
        asked = await house.ask(forecast_s=0.0)
        await house.ask(forecast_s=None)
        assert await house.node.final(asked) == "done"

    assert _observed(FORECAST_ERROR) == before + 1


async def test_a_question_for_another_model_is_left_to_others(house: House) -> None:
    async with house.worker():
        other = generation(lane="chat.other-model")
        await house.store.generations.add(other)
        await house.broker.publish_permit("chat.other-model", GenerateReply(generation_id=other.id))
        asked = await house.ask()
        assert await house.node.final(asked) == "done"

    assert (await house.get(other)).attempt == 0


async def test_a_stop_whose_message_was_lost_is_noticed_at_the_next_checkpoint(house: House) -> None:
    async with house.worker():
        asked = await house.ask(sampling=SamplingParams(temperature=0.0, max_new_tokens=256))
        await house.node.until(lambda: bool(house.node.texts.get(asked.id)))
        await house.store.generations.request_cancel(asked.id, asked.user_id)

        assert await house.node.final(asked) == "stopped"


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
@pytest.mark.parametrize("cut", [1, 2, 7, 20, 39])
async def test_another_worker_continues_at_any_token_with_the_same_text(
    house: House, sampling: SamplingParams, cut: int
) -> None:
    async with house.worker():
        whole = await house.ask(sampling=sampling)
        await house.node.final(whole)
    complete = await house.get(whole)

    asked = generation(lane=LANE, question=whole.question, listeners=(NODE,), sampling=sampling, seed=whole.seed)
    await house.store.generations.add(asked)
    claimed = await house.store.generations.claim(LANE, "a worker that died")
    assert claimed is not None
    known = complete.token_ids[:cut]
    text = Detokenizer(tiny_tokenizer(), known).text
    await house.store.generations.checkpoint(asked.id, claimed.attempt, known, text, "tiny")
    house.node.texts[asked.id] = text + "보였지만 저장되지 않은 글"  # people saw more than was kept
    async with house.worker():
        await recovery.sweep(house.store, house.broker, timedelta(seconds=0.5))
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.token_ids == complete.token_ids
    assert found.answer == complete.answer == house.node.texts[asked.id]
    assert found.attempt == 2


async def test_a_killed_workers_answer_goes_on_where_it_was_kept(house: House) -> None:
    sampling = replace(DRAWN, max_new_tokens=120)
    async with house.worker() as first:
        asked = await house.ask(sampling=sampling)
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > 5)
        await first.kill()
    left = await house.get(asked)
    assert left.state is GenerationState.RUNNING

    async with house.worker():
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.attempt == 2
    assert found.token_ids[: len(left.token_ids)] == left.token_ids
    assert found.answer == house.node.texts[asked.id] == expected_text(found.token_ids)


async def test_a_permit_that_comes_back_tells_of_a_lost_worker_before_its_lease_is_over(house: House) -> None:
    async with house.worker(stale_after_s=100.0) as first:
        asked = await house.ask(sampling=replace(DRAWN, max_new_tokens=250))
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > 5)
        async with house.worker(stale_after_s=100.0):
            await first.kill()
            assert await house.node.final(asked) == "done"

    assert (await house.get(asked)).answer == house.node.texts[asked.id]


async def test_a_worker_that_ends_gives_its_answers_back_with_what_they_have(house: House) -> None:
    async with house.worker() as first:
        asked = [await house.ask(sampling=replace(DRAWN, max_new_tokens=250), seed=number) for number in range(4)]
        await house.node.until(lambda: all(house.node.texts.get(each.id) for each in asked))
        began = asyncio.get_running_loop().time()
        await first.end()
        assert asyncio.get_running_loop().time() - began < 3
    left = [await house.get(each) for each in asked]
    assert all(each.state is GenerationState.QUEUED and each.token_ids for each in left)
    assert all(each.stalled_attempts == 0 for each in left)
    assert not await house.store.workers.alive(timedelta(seconds=60))

    async with house.worker():
        for each in asked:
            assert await house.node.final(each) == "done"

    for before, each in zip(left, asked, strict=True):
        found = await house.get(each)
        assert found.token_ids[: len(before.token_ids)] == before.token_ids
        assert found.answer == house.node.texts[each.id] == expected_text(found.token_ids)


async def test_another_model_begins_the_answer_anew(house: House) -> None:
    asked = await house.ask()
    claimed = await house.store.generations.claim(LANE, "a worker that died")
    assert claimed is not None
    await house.store.generations.checkpoint(asked.id, claimed.attempt, [9, 9], "다른 모델", "another digest")
    await house.store.generations.requeue(asked.id, claimed.attempt)
    house.node.texts[asked.id] = "다른 모델의 글"

    async with house.worker():
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.answer == house.node.texts[asked.id] == expected_text(found.token_ids)
    assert len(found.token_ids) == 40


async def test_a_node_that_begins_to_watch_gets_what_it_lacks(house: House) -> None:
    late = Node()
    async with house.worker(), house.broker.consume_node("late", late):
        asked = await house.ask(sampling=SamplingParams(temperature=0.0, max_new_tokens=200))
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > 5)
        running = await house.get(asked)
        late.texts[asked.id] = house.node.texts[asked.id][:2]
        watch = WatchGeneration(generation_id=asked.id, node_id="late", offset=2)
        await house.broker.publish_control(watch, running.worker_id)
        assert await late.final(asked) == "done"

    assert late.texts[asked.id] == (await house.get(asked)).answer


async def test_a_fourth_claim_without_progress_fails_with_a_reason(house: House) -> None:
    asked = generation(lane=LANE, listeners=(NODE,))
    await house.store.generations.add(asked)
    for _ in range(3):
        claimed = await house.store.generations.claim(LANE, "a worker that died")
        assert claimed is not None
        await house.store.generations.requeue(asked.id, claimed.attempt)

    async with house.worker():
        await house.broker.publish_permit(LANE, GenerateReply(generation_id=asked.id))
        assert await house.node.final(asked) == "failed"

    found = await house.get(asked)
    assert (found.error_code, found.error_facts) == ("too_many_attempts", {"attempts": 3})
    assert [letter.generation_id for letter in await house.broker.dead_letters(10)] == [asked.id]


async def test_generations_that_stalled_are_tried_one_at_a_time_and_after_the_others(house: House) -> None:
    async def stalled() -> Generation:
        asked = generation(lane=LANE, listeners=(NODE,), sampling=GREEDY)
        await house.store.generations.add(asked)
        claimed = await house.store.generations.claim(LANE, "a worker that died")
        assert claimed is not None
        await house.store.generations.requeue(asked.id, claimed.attempt)
        return asked

    suspects = [await stalled() for _ in range(3)]
    engine = ScriptedEngine(vocabulary=VOCABULARY, context_length=CONTEXT_LENGTH, stop_ids=frozenset())
    model = ServedModel("tiny", engine, tiny_tokenizer(), SamplingDefaults(0.0, 1.0, 0, 5), None, "test")
    async with house.worker(lambda: model):
        engine.pause()
        for asked in suspects:
            await house.broker.publish_permit(LANE, GenerateReply(generation_id=asked.id))
        proven = await house.ask()
        await house.node.until(lambda: len(house.node.changes) == 2)
        states = [(await house.get(asked)).state.value for asked in (proven, *suspects)]
        engine.resume()
        for asked in (proven, *suspects):
            assert await house.node.final(asked) == "done"

    assert states[0] == "running"
    assert sorted(states[1:]) == ["queued", "queued", "running"]


async def test_a_question_longer_than_the_context_fails_alone(house: House) -> None:
    async with house.worker():
        too_long = await house.ask("가나다라" * CONTEXT_LENGTH)
        fine = await house.ask()
        assert await house.node.final(too_long) == "failed"
        assert await house.node.final(fine) == "done"

    assert (await house.get(too_long)).error_code == "prompt_too_long"


async def test_an_answer_over_its_deadline_fails_with_what_it_has(house: House) -> None:
    async with house.worker(deadline_s=0.05):
        asked = await house.ask(sampling=SamplingParams(temperature=0.0, max_new_tokens=256))
        assert await house.node.final(asked) == "failed"

    assert (await house.get(asked)).error_code == "deadline_exceeded"


async def test_a_permit_without_a_waiting_generation_is_forgotten(house: House) -> None:
    async with house.worker():
        asked = await house.ask()
        await house.broker.publish_permit(LANE, GenerateReply(generation_id=asked.id))
        assert await house.node.final(asked) == "done"
        again = await house.ask()
        assert await house.node.final(again) == "done"

    assert (await house.get(asked)).attempt == 1


async def test_tokens_go_on_while_the_store_is_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    is_away = asyncio.Event()

    def failing_while_away(name: str) -> None:
        real = getattr(house.store.generations, name)

        async def call(*arguments: object, **options: object) -> object:
            if is_away.is_set():
                raise StoreUnavailable
            return await real(*arguments, **options)

        monkeypatch.setattr(house.store.generations, name, call)

    for name in ("checkpoint", "finish", "first_token"):
        failing_while_away(name)
    async with house.worker():
        is_away.set()
        asked = await house.ask()
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > 3)
        is_away.clear()
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.answer == house.node.texts[asked.id] == expected_text(found.token_ids)


async def test_a_claim_whose_reply_was_lost_is_not_lost(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real = house.store.generations.claim
    lost: list[Generation | None] = []

    async def claim(lane: str, worker_id: str, *, suspects: bool) -> Generation | None:
        claimed = await real(lane, worker_id, suspects=suspects)
        if not lost and claimed is not None:
            lost.append(claimed)
            raise StoreUnavailable
        return claimed

    monkeypatch.setattr(house.store.generations, "claim", claim)
    async with house.worker():
        asked = await house.ask()
        assert await house.node.final(asked) == "done"

    assert (await house.get(asked)).attempt == 2


async def test_an_answer_that_another_attempt_owns_is_left_alone(house: House) -> None:
    engine = ScriptedEngine(vocabulary=VOCABULARY, context_length=CONTEXT_LENGTH, stop_ids=frozenset())
    model = ServedModel("tiny", engine, tiny_tokenizer(), SamplingDefaults(0.0, 1.0, 0, 200), None, "test")
    async with house.worker(lambda: model):
        engine.pause()
        asked = await house.ask(sampling=SamplingParams(max_new_tokens=200))
        await house.node.until(lambda: (asked.id, "running") in house.node.changes)
        await house.store.generations.requeue(asked.id, 1)
        stolen = await house.store.generations.claim(LANE, "another")
        assert stolen is not None
        engine.resume()
        other = await house.ask(sampling=SamplingParams(max_new_tokens=5))
        assert await house.node.final(other) == "done"

    found = await house.get(asked)
    assert (found.state, found.attempt, found.worker_id) == (GenerationState.RUNNING, 2, "another")
    assert found.token_ids == ()


async def test_a_model_directory_serves_as_it_came(house: House, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = save_tiny_model(tmp_path_factory.mktemp("model"))

    async with house.worker(lambda: open_model(str(directory), "tiny", WorkerSettings(slots=4, threads=1))):
        asked = await house.ask()
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.answer == expected_text(found.token_ids)
