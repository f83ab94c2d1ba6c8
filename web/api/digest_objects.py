"""What /v1/digests takes and answers; the article and the digest in them are shared/digests.py, which pages use too."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.digests import MOST_ARTICLES, ArticleInput, Digest, DigestJob, DigestState
from web.api.envelope import Envelopes
from web.api.fields import Body
from web.api.objects import ApiObject, Error
from web.words import Words

PATH = "/v1/digests"
_STATUSES: dict[DigestState, Literal["queued", "running", "done", "failed"]] = {
    DigestState.WAITING: "queued",
    DigestState.READING: "running",
    DigestState.READY: "done",
    DigestState.FAILED: "failed",
}


class DigestRequest(ArticleInput, Body):
    """The body of POST /v1/digests: one article."""


class DigestBatchRequest(Body):
    """The body of POST /v1/digests/batches. An article that cannot be used fails alone."""

    articles: list[Any] = Field(
        min_length=1, max_length=MOST_ARTICLES, description="Each as the body of POST /v1/digests."
    )


class DigestTask(ApiObject):
    id: str
    object: Literal["digest"]
    status: Literal["queued", "running", "done", "failed"]
    batch: str | None
    name: str
    article: dict[str, Any] = Field(description="What was sent, without its content.")
    created: int
    finished: int | None
    result: Digest | None
    error: Error | None
    status_url: str


class DigestTaskList(ApiObject):
    object: Literal["list"]
    data: list[DigestTask]


class DigestBatch(ApiObject):
    id: str
    object: Literal["digest.batch"]
    status: Literal["running", "done"]
    total: int
    done: int
    failed: int
    data: list[DigestTask] = Field(description="In the order of the batch.")
    status_url: str


class DigestsDeleted(ApiObject):
    id: str
    object: Literal["digest.deleted"]
    deleted: int


def task_of(job: DigestJob, envelopes: Envelopes, words: Words) -> DigestTask:
    return DigestTask(
        id=job.id,
        object="digest",
        status=_STATUSES[job.state],
        batch=job.batch_id,
        name=job.name,
        article=job.given,
        created=int(job.created_at.timestamp()),
        finished=int(job.finished_at.timestamp()) if job.finished_at else None,
        result=job.digest,
        error=envelopes.told(job.error_code, job.error_facts, words) if job.error_code else None,
        status_url=f"{PATH}/{job.id}",
    )


def batch_of(batch_id: str, jobs: list[DigestJob], envelopes: Envelopes, words: Words) -> DigestBatch:
    states = [job.state for job in jobs]
    return DigestBatch(
        id=batch_id,
        object="digest.batch",
        status="done" if all(state.is_final for state in states) else "running",
        total=len(jobs),
        done=states.count(DigestState.READY),
        failed=states.count(DigestState.FAILED),
        data=[task_of(job, envelopes, words) for job in jobs],
        status_url=f"{PATH}/batches/{batch_id}",
    )
