"""Digests that a language model writes in: asked through the lane of people's questions, on a real store and broker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.adapters.rollout import Alias
from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState, JobClass, Origin
from shared.digests import DigestJob, DigestState
from shared.forgetting import forget_old
from shared.metrics import DIGEST_MODEL_ANSWERS, DIGEST_SUMMARIES
from shared.publishing import Publishing
from shared.settings import RetentionSettings, load_settings
from shared.store import Store
from shared.topology import CHAT_JOBS, lane
from tests.adapter_folders import BASE, write_adapter
from tests.ingest_house import digest_worker, digested
from tests.integration.test_digesting import service_of
from tests.local_analyser import LocalAnalyser
from tests.metric_values import value
from tests.scripted_worker import ScriptedWorker, Unsayable
from tests.unit.shared.test_digest_asking import EXPLANATION, SUMMARY
from tests.unit.shared.test_digesting import ENGLISH, KOREAN
from tests.waiting import until
from web.digests.incoming import of_file
from workers.digest.work import digesting_work

LANE = lane(CHAT_JOBS, load_settings({}).model_name)
GOOD = json.dumps({"summary": SUMMARY, "terms": {"JVM": EXPLANATION}}, ensure_ascii=False)
MADE_UP = json.dumps({"summary": SUMMARY.replace("JVM", "CLR")}, ensure_ascii=False)


class Model:
    """`says`: its answer to everything."""

    def __init__(self, says: str) -> None:
        self.says = says
        self.asked: list[Generation] = []

    async def say(self, asked: Generation) -> AsyncIterator[str]:
        self.asked.append(asked)
        if self.says == "fails":
            raise Unsayable
        yield self.says


async def sent(store: Store, broker: MemoryBroker, text: str = KOREAN) -> DigestJob:
    return await service_of(store, broker).submit("u", of_file("가.md", text.encode(), 64))


async def test_a_model_is_asked_once_behind_people_and_held_to_a_schema(
    store: Store, memory_broker: MemoryBroker
) -> None:
    model = Model(GOOD)
    async with (
        ScriptedWorker(store, memory_broker, LANE, model.say),
        digest_worker(store, memory_broker, digest_model="nunmal"),
    ):
        digest = (await digested(store, await sent(store, memory_broker))).digest

    assert digest is not None and digest.summary_by == "llm"
    assert digest.summary.replace("\n", " ") == SUMMARY
    (asked,) = model.asked
    assert (asked.job_class, asked.origin, asked.user_id) == (JobClass.BULK, Origin.DIGEST, "u")
    assert set(json.loads(asked.sampling.json_schema or "")["properties"]) == {"summary", "terms"}
    by = {each.term: each.by for each in digest.technical_terms if each.explanation}
    assert by["JVM"] == "llm" and by["가비지 컬렉션"] == "extract"


@pytest.mark.parametrize(("says", "outcome"), [(MADE_UP, "name"), ("요약이에요.", "form"), ("fails", "failed")])
async def test_what_may_not_be_shown_stays_an_extract_and_is_counted(
    store: Store, memory_broker: MemoryBroker, says: str, outcome: str
) -> None:
    def counted() -> float:
        return value(DIGEST_MODEL_ANSWERS, field="summary", outcome=outcome)

    before, extracts = counted(), value(DIGEST_SUMMARIES, by="extract")
    async with (
        ScriptedWorker(store, memory_broker, LANE, Model(says).say),
        digest_worker(store, memory_broker, digest_model="nunmal"),
    ):
        found = await digested(store, await sent(store, memory_broker))

    assert found.digest is not None and found.digest.summary_by == "extract"
    assert {each.by for each in found.digest.technical_terms} == {"extract"}
    assert counted() == before + 1
    assert value(DIGEST_SUMMARIES, by="extract") == extracts + 1


async def test_nobody_is_asked_where_nobody_answers_or_the_article_is_english(
    store: Store, memory_broker: MemoryBroker
) -> None:
    model = Model(GOOD)
    async with digest_worker(store, memory_broker, digest_model="nunmal"):
        unserved = await digested(store, await sent(store, memory_broker))
        async with ScriptedWorker(store, memory_broker, LANE, model.say):
            english = await digested(store, await sent(store, memory_broker, ENGLISH))

    assert unserved.digest is not None and unserved.digest.summary_by == "extract"
    assert english.digest is not None and english.digest.summary_by == "extract"
    assert model.asked == [] and await store.generations.waiting_in(LANE, 10) == []


async def test_a_model_that_is_too_slow_is_waited_for_no_longer_and_its_question_taken_back(
    store: Store, memory_broker: MemoryBroker
) -> None:
    """The worker beats and takes no permit."""
    await store.workers.beat("busy", LANE, "scripted", "0" * 8, 1, 1)
    async with digest_worker(store, memory_broker, digest_model="nunmal", digest_model_timeout_s=0.5):
        found = await digested(store, await sent(store, memory_broker))

    assert found.state is DigestState.READY
    assert found.digest is not None and found.digest.summary_by == "extract"
    assert await store.generations.waiting_in(LANE, 10) == []


async def test_an_adapter_answers_with_the_version_in_use_and_without_one_nobody_does(
    store: Store, memory_broker: MemoryBroker, tmp_path: Path
) -> None:
    await store.adapters.describe_base(BASE)
    model = Model(GOOD)
    worker = ScriptedWorker(store, memory_broker, LANE, model.say)
    async with worker, digest_worker(store, memory_broker, digest_model="nunmal:wallpaper"):
        none_yet = await digested(store, await sent(store, memory_broker))
        version = await _in_use(store, memory_broker, tmp_path)
        worker.adapters = (version,)
        assert await until(lambda: _is_told(store, version), 30.0)
        with_it = await digested(store, await sent(store, memory_broker, f"{KOREAN}\n\nG1은 힙을 나눕니다."))

    assert none_yet.digest is not None and none_yet.digest.summary_by == "extract"
    assert with_it.digest is not None and with_it.digest.summary_by == "llm"
    assert [asked.adapter for asked in model.asked] == [version]


async def test_who_goes_on_for_a_lost_worker_finds_what_it_asked(store: Store, memory_broker: MemoryBroker) -> None:
    """The first one ends while its question waits: the second asks the same one, once."""
    await store.workers.beat("busy", LANE, "scripted", "0" * 8, 1, 1)
    async with digest_worker(store, memory_broker, digest_model="nunmal"):
        job = await sent(store, memory_broker)
        assert await until(lambda: store.generations.waiting_in(LANE, 10), 60.0)
    assert await until(lambda: _waits(store, job), 30.0), "it was given back"
    model = Model(GOOD)
    async with (
        ScriptedWorker(store, memory_broker, LANE, model.say),
        digest_worker(store, memory_broker, digest_model="nunmal"),
    ):
        found = await digested(store, job)

    assert found.digest is not None and found.digest.summary_by == "llm"
    assert len(model.asked) == 1


async def test_where_no_web_node_asks_a_digest_is_made_all_the_same(store: Store, memory_broker: MemoryBroker) -> None:
    settings = load_settings({}, ingest={"digest_model": "nunmal", "digest_model_timeout_s": 0.2})
    work = digesting_work(settings, store, LocalAnalyser())
    job = await sent(store, memory_broker)
    claimed = await store.digests.claim("w")
    assert claimed is not None

    await work.do(claimed)

    found = await store.digests.get(job.id, "u")
    assert found is not None and found.digest is not None and found.digest.summary_by == "extract"


async def test_digests_take_nothing_of_what_their_owner_may_ask_and_leave_nothing(
    store: Store, memory_broker: MemoryBroker
) -> None:
    await store.workers.beat("busy", LANE, "scripted", "0" * 8, 1, 1)
    async with digest_worker(store, memory_broker, digest_model="nunmal", digest_model_timeout_s=5.0):
        job = await sent(store, memory_broker)
        assert await until(lambda: store.generations.waiting_in(LANE, 10), 60.0)
        (waiting,) = await store.generations.waiting_in(LANE, 10)
        assert await store.generations.unfinished_of_user("u", 10) == 0
        await digested(store, job)

    await forget_old(store, RetentionSettings())
    asked = await store.generations.get(waiting.generation_id)
    assert asked is not None and asked.state is GenerationState.STOPPED, "young ones stay: a worker may look at them"
    row = await store._database["digests"].find_one({"_id": job.id})
    assert row is not None and (row["ask"], row["ask_answer"]) == ("", None)
    assert await store.personal.remove_answers(Origin.DIGEST, datetime.now(UTC) + timedelta(seconds=1), 10) == 1
    assert await store.generations.get(waiting.generation_id) is None


async def _in_use(store: Store, broker: MemoryBroker, directory: Path) -> str:
    manifest = await Publishing(store, broker).push("wallpaper", write_adapter(directory), "me")

    def change(alias: Alias) -> Alias:
        return alias.model_copy(update={"active": manifest.version_id})

    await store.adapters.change("wallpaper", change)
    return manifest.version_id


async def _waits(store: Store, job: DigestJob) -> bool:
    found = await store.digests.get(job.id, "u")
    return found is not None and found.state is DigestState.WAITING


async def _is_told(store: Store, version: str) -> bool:
    alive = await store.workers.alive(timedelta(seconds=60), LANE)
    return any(version in worker.adapters for worker in alive)
