"""A worker that digests articles on a real store: every kind of file, hostile ones, a batch, and a real kill."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Awaitable, Iterator

import pytest

from shared.broker.base import Broker
from shared.broker.memory import MemoryBroker
from shared.broker.rabbitmq import RabbitBroker
from shared.digests import DigestJob, DigestState
from shared.settings import WebSettings, environment_without_settings
from shared.store import Store
from tests.documents import docx_of, pdf_of
from tests.ingest_house import digest_worker, digested
from tests.service import ROOT
from tests.unit.shared.test_digesting import ENGLISH, KOREAN
from tests.waiting import until
from web.digests.incoming import of_file, of_json
from web.digests.service import DigestService

_KIB = 64


def service_of(store: Store, broker: Broker) -> DigestService:
    return DigestService(store, broker, WebSettings(digest_max_kib=_KIB, digests_per_user=100))


async def test_articles_of_every_kind_are_digested_over_rabbitmq(store: Store, rabbit_url: str) -> None:
    prose = KOREAN.split("```")[0].replace("# ", "").replace("## ", "")
    files = {
        "가.md": KOREAN.encode(),
        "나.html": f"<h1>가비지 컬렉션</h1><p>{prose}</p><pre>let a = 1</pre>".encode(),
        "다.txt": prose.encode("cp949"),
        "라.docx": docx_of({"가비지 컬렉션": prose}),
        "마.pdf": pdf_of([prose.replace("\n", " ")]),
        "바.md": ENGLISH.encode(),
    }
    async with RabbitBroker(rabbit_url) as broker, digest_worker(store, broker):
        service = service_of(store, broker)
        jobs = [await service.submit("u", of_file(name, data, _KIB)) for name, data in files.items()]
        found = [await digested(store, job) for job in jobs]
    for name, job in zip(files, found, strict=True):
        assert job.state is DigestState.READY and job.digest is not None, (name, job.error_code)
        assert job.digest.summary and job.digest.language == ("en" if name == "바.md" else "ko")


async def test_a_batch_goes_on_whatever_is_in_it(store: Store, memory_broker: MemoryBroker) -> None:
    hostile = [
        ({"content": ""}, "digest_empty"),
        ({"content": " \n\t "}, "digest_empty"),
        ({"content": "글" * (5 << 20)}, "digest_too_large"),
        ({"content": "デッドロックとは、互いを待つ状態のことです。" * 20}, "digest_language_unknown"),
        ({"content": KOREAN, "language": "en"}, "digest_language_other"),
        ({"content": "<div>" * 3000}, "digest_without_text"),
        ({"content": "<script>x()</script><p>짧다</p>"}, "digest_without_text"),
        ({"content": "\x89PNG\r\n\x1a\n\x00\x00"}, "document_kind_unknown"),
        ({"content": KOREAN, "colour": "red"}, "digest_json_invalid"),
        ({"title": "내용이 없다"}, "digest_empty"),
        ("no object", "digest_json_invalid"),
        ({"content": KOREAN, "views": -1}, "digest_json_invalid"),
    ]
    raw = [
        {"content": KOREAN, "title": "처음"},
        *(each for each, _ in hostile),
        {"content": ENGLISH, "url": "http://x"},
    ]
    service = service_of(store, memory_broker)
    async with digest_worker(store, memory_broker):
        jobs = await service.submit_batch("u", [of_json(each, _KIB, place) for place, each in enumerate(raw)])
        found = [await digested(store, job) for job in jobs]
        again = await service.submit_batch("u", [of_json(each, _KIB, place) for place, each in enumerate(raw)])

    assert [job.error_code for job in found] == [None, *(code for _, code in hostile), None]
    assert [job.id for job in again] == [job.id for job in jobs]
    assert found[0].digest is not None and found[0].digest.title == "처음"
    assert found[-1].given == {"url": "http://x"}


async def test_a_killed_worker_is_followed_by_one_that_ends_the_batch_with_the_same_digests(
    store: Store, store_url: str, memory_broker: MemoryBroker
) -> None:
    service = service_of(store, memory_broker)
    texts = [f"{KOREAN}\n\n{number}번째 글은 힙을 {number}번 살핍니다." for number in range(10)]
    articles = [of_json({"content": text}, _KIB) for text in texts]
    jobs = await service.submit_batch("u", articles)
    batch_id = jobs[0].batch_id
    assert batch_id is not None

    async def done() -> list[DigestJob]:
        return [job for job in await store.digests.of_batch(batch_id, "u") if job.state.is_final]

    with _process(store_url, store._database.name) as killed:
        assert await until(lambda: _at_least(2, done()), 90.0)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    before = await done()
    assert 2 <= len(before) < len(jobs)

    async with digest_worker(store, memory_broker, stale_after_s=4.0):
        resumed = [await digested(store, job) for job in jobs]
        undisturbed = [await digested(store, await service.submit("other", each)) for each in articles]
    assert {job.id: job for job in resumed}.items() >= {job.id: job for job in before}.items(), "what was done stays"
    assert [_said(job) for job in resumed] == [_said(job) for job in undisturbed]


async def test_what_stalls_three_times_is_given_up_and_a_removed_one_is_made_no_further(
    store: Store, memory_broker: MemoryBroker
) -> None:
    service = service_of(store, memory_broker)
    stuck = await store.digests.add("u", of_file("가.md", KOREAN.encode(), _KIB), 0.0)
    for _ in range(3):
        claimed = await store.digests.claim("w")
        assert claimed is not None and await store.digests.give_back(stuck.id, claimed.attempt)
    async with digest_worker(store, memory_broker):
        removed = await service.submit("u", of_file("나.md", KOREAN.encode(), _KIB))
        await service.remove("u", removed.id)
        after = await service.submit("u", of_file("다.md", KOREAN.encode(), _KIB))
        assert (await digested(store, after)).state is DigestState.READY
        assert (await digested(store, stuck)).error_code == "digest_too_many_attempts"
    assert await store.digests.get(removed.id, "u") is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/never", "file:///etc/passwd"])
async def test_an_address_is_kept_and_never_fetched(store: Store, memory_broker: MemoryBroker, url: str) -> None:
    """Whoever digests it is the process that parses it and has no network, and nobody else looks at the address."""
    async with digest_worker(store, memory_broker):
        article = of_json({"content": KOREAN, "url": url}, _KIB)
        job = await service_of(store, memory_broker).submit("u", article)
        found = await digested(store, job)
    assert (found.state, found.given["url"]) == (DigestState.READY, url)


async def _at_least(count: int, found: Awaitable[list[DigestJob]]) -> bool:
    return len(await found) >= count


def _said(job: DigestJob) -> object:
    assert job.digest is not None
    return job.digest.model_copy(update={"processing_time": 0.0})


@contextlib.contextmanager
def _process(store_url: str, database: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.ingest_house", store_url, database, "digests"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment_without_settings(), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
