"""Digests in the store: kept once, claimed fairly, fenced, gone without a trace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.digest_errors import DigestEmpty, DigestLanguageUnknown
from shared.digests import DifficultyLevel, Digest, DigestJob, DigestState, fingerprint
from shared.documents import DocumentKind
from shared.store import Store
from shared.store.digests import Incoming, batch_id_of

DIGEST = Digest(
    summary="힙은 둘로 나뉩니다.",
    summary_by="extract",
    keywords=["힙"],
    difficulty_level=DifficultyLevel(score=2, label="elementary", features={}),
    prerequisites=[],
    technical_terms=[],
    title="힙",
    language="ko",
    processing_time=0.5,
)


def article(text: str = "글", refused: bool = False) -> Incoming:
    refusal = DigestEmpty() if refused else None
    return Incoming(text, DocumentKind.MARKDOWN, {"views": 3}, text.encode() + b"\x00\xff", fingerprint(text), refusal)


async def _add(store: Store, user_id: str = "u", text: str = "글", tag: float = 0.0) -> DigestJob:
    return await store.digests.add(user_id, article(text), tag)


async def test_an_article_is_kept_once_with_its_bytes(store: Store) -> None:
    first, again, other = await _add(store), await _add(store), await _add(store, "other")

    assert first == again and first.id != other.id
    assert (first.state, first.given, first.digest) == (DigestState.WAITING, {"views": 3}, None)
    assert await store.digests.source(first.id, "u") == "글".encode() + b"\x00\xff"
    assert await store.digests.source(first.id, "other") is None
    assert await store.digests.get(first.id, "other") is None
    assert await store.digests.count("u", 10) == 1


async def test_neither_a_claim_nor_recovery_fetches_articles(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recovery asks every second; a worker fetches its article by itself."""
    fetched: list[set[str]] = []
    of_row = store.digests._of_row

    def noted(row: dict[str, Any]) -> DigestJob:
        fetched.append(set(row))
        return of_row(row)

    added = await _add(store)
    monkeypatch.setattr(store.digests, "_of_row", noted)

    claimed = await store.digests.claim("w")
    (begun,) = await store.digests.being_read()

    assert claimed == begun and claimed is not None and claimed.id == added.id
    assert len(fetched) == 2 and not any("source" in row for row in fetched)
    assert await store.digests.source_of(claimed) == "글".encode() + b"\x00\xff"


async def test_the_first_in_line_is_claimed_once_and_finished_by_its_claimer_alone(store: Store) -> None:
    later, first = await _add(store, tag=2.0), await _add(store, "other", tag=1.0)
    claimed = [await store.digests.claim("w") for _ in range(3)]

    assert [each.id if each else None for each in claimed] == [first.id, later.id, None]
    job = claimed[0]
    assert job is not None and await store.digests.give_back(job.id, job.attempt)
    assert not await store.digests.finish(job.id, job.attempt, DIGEST)
    again = await store.digests.claim("w2")
    assert again is not None and (again.id, again.attempt, again.stalled) == (job.id, 2, 2)
    assert await store.digests.source_of(job) is None
    assert await store.digests.source_of(again) == "글".encode() + b"\x00\xff"
    assert await store.digests.finish(again.id, again.attempt, DIGEST)
    found = await store.digests.get(first.id, "other")
    assert found is not None and (found.state, found.digest, found.name) == (DigestState.READY, DIGEST, "힙")


async def test_what_failed_waits_again_when_it_comes_again_and_what_is_ready_stays(store: Store) -> None:
    job = await _add(store)
    claimed = await store.digests.claim("w")
    assert claimed is not None
    await store.digests.fail(job.id, claimed.attempt, DigestLanguageUnknown())
    failed = await store.digests.get(job.id, "u")
    assert failed is not None and (failed.state, failed.error_code) == (DigestState.FAILED, "digest_language_unknown")

    again = await _add(store)
    assert (again.state, again.stalled, again.error_code) == (DigestState.WAITING, 0, None)
    claimed = await store.digests.claim("w")
    assert claimed is not None and await store.digests.finish(job.id, claimed.attempt, DIGEST)
    assert (await _add(store)).digest == DIGEST


async def test_a_batch_keeps_its_order_and_its_refused_articles(store: Store) -> None:
    batch_id = batch_id_of("u", ["1", "2"])
    articles = [article("하나"), article("둘", refused=True), article("하나")]
    for _ in range(2):
        for place, each in enumerate(articles):
            await store.digests.add("u", each, 0.0, batch_id, place)

    jobs = await store.digests.of_batch(batch_id, "u")
    assert [(job.place, job.state) for job in jobs] == [
        *((0, DigestState.WAITING), (1, DigestState.FAILED), (2, DigestState.WAITING))
    ]
    assert jobs[1].error_code == "digest_empty" and jobs[1].finished_at is not None
    assert await store.digests.of_batch(batch_id, "other") == []


async def test_nothing_is_left_of_a_removed_digest_and_its_worker_writes_nothing(store: Store) -> None:
    job = await _add(store)
    claimed = await store.digests.claim("w")
    assert claimed is not None
    assert await store.digests.remove([job.id], "other") == 0
    assert await store.digests.remove([job.id], "u") == 1

    assert not await store.digests.finish(job.id, claimed.attempt, DIGEST)
    assert await store.digests.source_of(claimed) is None
    assert [row async for row in store._database["digests"].find({})] == []


async def test_an_account_takes_its_digests_along(store: Store) -> None:
    await _add(store)
    kept = await _add(store, "other")
    await store.personal.remove("u")

    assert [row["_id"] async for row in store._database["digests"].find({})] == [kept.id]


async def test_what_a_digest_asks_of_a_model_is_answered_once_and_goes_with_its_end(store: Store) -> None:
    await _add(store)
    claimed = await store.digests.claim("w")
    assert claimed is not None
    assert await store.digests.ask(claimed, "글을 요약하세요.", "{}", "nunmal", 60.0)
    (ask,) = await store.digests.asks(10)
    assert (ask.user_id, ask.text, ask.schema, ask.model) == ("u", "글을 요약하세요.", "{}", "nunmal")
    assert ask.until > datetime.now(UTC) and await store.digests.answer_of(claimed) is None

    await store.digests.answered(ask, "used", "요약이에요.")
    await store.digests.answered(ask, "late")

    assert await store.digests.answer_of(claimed) == ("used", "요약이에요.") and await store.digests.asks(10) == []
    assert await store.digests.finish(claimed.id, claimed.attempt, DIGEST)
    (row,) = [row async for row in store._database["digests"].find({})]
    assert (row["ask"], row["ask_state"], row["ask_answer"]) == ("", "", None)


async def test_who_takes_a_digest_over_finds_what_was_answered_and_may_ask_something_else(store: Store) -> None:
    await _add(store)
    first = await store.digests.claim("w")
    assert first is not None and await store.digests.ask(first, "글", "{}", "nunmal", 60.0)
    (asked,) = await store.digests.asks(10)
    await store.digests.answered(asked, "used", "요약")
    await store.digests.give_back(first.id, first.attempt)
    second = await store.digests.claim("other")
    assert second is not None

    assert not await store.digests.ask(first, "글", "{}", "nunmal", 60.0), "another has it now"
    assert await store.digests.ask(second, "글", "{}", "nunmal", 60.0)
    assert await store.digests.answer_of(second) == ("used", "요약")
    assert await store.digests.ask(second, "다른 글", "{}", "nunmal", 60.0)
    (again,) = await store.digests.asks(10)
    assert again.generation_id != asked.generation_id and await store.digests.answer_of(second) is None
