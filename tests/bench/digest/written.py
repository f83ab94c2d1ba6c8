"""What a language model writes in digests, through the real way: service, digest worker, relay, lane, a worker with the
model that ships.

For the news its words are measured as it wrote them, before any check, and as the digest shows them. With an adapter
its gate is held first, and its table is kept; what the gate refuses is measured all the same, because an operator may
override it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from shared.adapters.gate import KOREAN, read_gate
from shared.broker.memory import MemoryBroker
from shared.chat import Origin
from shared.digesting.asking import read_answer
from shared.digests import ArticleInput, Digest, DigestJob
from shared.errors import GateLost
from shared.gatekeeping import Gatekeeper
from shared.metrics import DIGEST_MODEL_ANSWERS
from shared.publishing import Publishing
from shared.settings import Settings, load_settings
from shared.store import Store
from shared.text.analyser import Analyser
from shared.topology import CHAT_JOBS, lane
from tests.bench.digest.made import documents
from tests.bench.digest.summaries import News, against_people
from tests.bench.model_house import READY_S, model_house
from tests.waiting import until
from web.digests.incoming import of_article
from web.digests.relay import DigestRelay
from web.digests.service import DigestService
from workers.digest.work import digesting_work
from workers.jobs.serve import serve_jobs

_NAME = "digests"
_USER = "bench"
_MOST_KIB = 4096
_GATE_S, _ANSWER_S, _ALL_S = 1800.0, 300.0, 7200.0


async def written(
    data_dir: Path, found: Sequence[News], count: int, seed: int, adapter: Path | None, characters: int
) -> dict[str, Any]:
    """`adapter`: a folder of one, or None for the model alone. `characters`: of an article that the model is shown."""
    model = f"nunmal:{_NAME}" if adapter else "nunmal"
    settings = load_settings(
        {},
        ingest={"digest_model": model, "digest_model_characters": characters, "digest_model_timeout_s": _ANSWER_S},
        worker={"stale_after_s": 60.0},
        web={"digests_per_user": 1000, "digest_max_kib": _MOST_KIB},
    )
    sources = [{"content": "\n\n".join(each.sentences), "title": each.title} for each in found]
    rows = documents(data_dir, count, seed)
    sources += [{"content": row["markdown"], "title": row["title"] or ""} for _, row in rows]
    articles = [ArticleInput.model_validate(each) for each in sources]
    before = _outcomes()
    async with model_house(settings) as (store, broker):
        gate = await _let_in(store, broker, settings, adapter) if adapter else None
        service = DigestService(store, broker, settings.web)
        async with _digesting(settings, store, broker):
            sent = [await service.submit(_USER, of_article(article, _MOST_KIB)) for article in articles]
            jobs = [await _digested(store, job) for job in sent]
        said = await _said(store)
    news, made = jobs[: len(found)], [job for job in jobs[len(found) :] if job.digest]
    raw = [said.get(_digest(job).title, "") for job in news]
    explained = [term.by for job in made for term in _digest(job).technical_terms if term.explanation is not None]
    return {
        "model": model,
        "gate": gate,
        "characters": characters,
        "by_llm_share": _share(made),
        "explanations_by_llm_share": explained.count("llm") / max(1, len(explained)),
        "news_by_llm_share": _share(news),
        "outcomes": {key: value - before.get(key, 0.0) for key, value in _outcomes().items()},
        "raw": against_people(raw, found, seed),
        "shown": against_people([_digest(job).summary for job in news], found, seed),
        "samples": [{"name": job.name, "by": _digest(job).summary_by} for job in (*news, *made)],
    }


def _share(jobs: Sequence[DigestJob]) -> float:
    """Of summaries that the model wrote."""
    return sum(_digest(job).summary_by == "llm" for job in jobs) / len(jobs)


def _digest(job: DigestJob) -> Digest:
    assert job.digest is not None, f"{job.name} was refused: {job.error_code}"
    return job.digest


def _outcomes() -> dict[str, float]:
    """Of everything this process asked so far."""
    (family,) = DIGEST_MODEL_ANSWERS.collect()
    return {
        f"{sample.labels['field']}/{sample.labels['outcome']}": sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }


@contextlib.asynccontextmanager
async def _digesting(settings: Settings, store: Store, broker: MemoryBroker) -> AsyncIterator[None]:
    ready, stop = asyncio.Event(), asyncio.Event()
    analyser = Analyser()
    async with asyncio.TaskGroup() as tasks:
        work = digesting_work(settings, store, analyser)
        serving = tasks.create_task(serve_jobs(settings, broker, store, work, ready=ready, stop=stop))
        asking = tasks.create_task(DigestRelay(store, broker, settings).run())
        await ready.wait()
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait([serving])
            asking.cancel()
    await analyser.close()


async def _let_in(store: Store, broker: MemoryBroker, settings: Settings, adapter: Path) -> dict[str, Any]:
    """The way of any adapter: pushed, gated, rolled out."""
    publishing = Publishing(store, broker)
    questions = read_gate(KOREAN)
    gate = Gatekeeper(store, broker, publishing, lane(CHAT_JOBS, settings.model_name), questions)
    version = (await publishing.push(_NAME, adapter, "bench")).version_id
    try:
        await gate.activate(version, "bench", _GATE_S)
        outcome = "passed"
    except GateLost:
        outcome = "lost"
    run = (await store.adapters.alias(_NAME)).gate
    if outcome == "lost":
        await gate.override(version, "bench", "measured here, and used by nobody else")

    async def is_in_use() -> bool:
        return (await store.adapters.alias(_NAME)).active == version

    if not await until(is_in_use, READY_S):
        raise RuntimeError(f"{version} was not rolled out")
    table = run.table.model_dump(mode="json") if run and run.table else None
    return {"version": version, "outcome": outcome, "table": table}


async def _digested(store: Store, job: DigestJob) -> DigestJob:
    async def ended() -> DigestJob | None:
        found = await store.digests.get(job.id, _USER)
        return found if found and found.state.is_final else None

    found = await until(ended, _ALL_S)
    assert found is not None
    return found


async def _said(store: Store) -> dict[str, str]:
    """By the title it was asked about: the summary as the model wrote it; empty where it has another form."""
    said = {}
    async for row in store._database["generations"].find({"origin": str(Origin.DIGEST)}, {"_id": 1}):
        turn = await store.generations.get(row["_id"])
        assert turn is not None and isinstance(turn.prompt, tuple)
        written = read_answer(turn.answer)
        title = turn.prompt[0].content.partition("\n제목: ")[2].partition("\n")[0]
        said[title] = written.summary if written else ""
    return said
