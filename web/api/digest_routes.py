"""The routes under /v1/digests: articles in, digests out, one by one or in batches."""

from __future__ import annotations

import asyncio
import json

from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue

from shared.digests import schemas
from web.api.access import Callers
from web.api.body import read_body
from web.api.digest_objects import (
    PATH,
    DigestBatchRequest,
    DigestRequest,
    DigestsDeleted,
    DigestTaskList,
    batch_of,
    task_of,
)
from web.api.envelope import Envelopes
from web.api.limit import asked_limit
from web.api.objects import ApiObject
from web.bodies import LargeBodies
from web.digests.incoming import of_article, of_json
from web.digests.service import DigestService

_SCOPE = "digests"
_ONE = "/<string(minlength=20):name>"  # longer than the words that stand in its place


def digests_api_blueprint(
    digests: DigestService, callers: Callers, envelopes: Envelopes, large_bodies: LargeBodies
) -> Blueprint:
    blueprint = Blueprint("api_digests", __name__, url_prefix=PATH)

    @blueprint.post("")
    async def submit() -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        with large_bodies.reading(request, key.user_id):
            body = await read_body(request, DigestRequest)
            article = await asyncio.to_thread(of_article, body, digests.most_kib)
        job = await digests.submit(key.user_id, article)
        return _accepted(task_of(job, envelopes, envelopes.language()), f"{PATH}/{job.id}")

    @blueprint.post("/batches")
    async def submit_batch() -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        with large_bodies.reading(request, key.user_id):
            body = await read_body(request, DigestBatchRequest)
            most = digests.most_kib
            articles = await asyncio.to_thread(
                lambda: [of_json(raw, most, place) for place, raw in enumerate(body.articles)]
            )
        jobs = await digests.submit_batch(key.user_id, articles)
        batch_id = jobs[0].batch_id or ""
        return _accepted(batch_of(batch_id, jobs, envelopes, envelopes.language()), f"{PATH}/batches/{batch_id}")

    @blueprint.get("")
    async def listed() -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        words = envelopes.language()
        found = await digests.all(key.user_id, asked_limit(request))
        return _json(DigestTaskList(object="list", data=[task_of(job, envelopes, words) for job in found]))

    @blueprint.get("/schema")
    async def published() -> ResponseReturnValue:
        """JSON Schema of an article and of a digest; needs no key."""
        return Response(json.dumps(schemas(), ensure_ascii=False), content_type="application/json")

    @blueprint.get(_ONE)
    async def one(name: str) -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        return _json(task_of(await digests.get(key.user_id, name), envelopes, envelopes.language()))

    @blueprint.delete(_ONE)
    async def remove(name: str) -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        await digests.remove(key.user_id, name)
        return _json(DigestsDeleted(id=name, object="digest.deleted", deleted=1))

    @blueprint.get("/batches/<batch>")
    async def one_batch(batch: str) -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        jobs = await digests.batch(key.user_id, batch)
        return _json(batch_of(batch, jobs, envelopes, envelopes.language()))

    @blueprint.delete("/batches/<batch>")
    async def remove_batch(batch: str) -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        count = await digests.remove_batch(key.user_id, batch)
        return _json(DigestsDeleted(id=batch, object="digest.deleted", deleted=count))

    return blueprint


def _accepted(body: ApiObject, address: str) -> Response:
    response = _json(body, 202)
    response.headers["Location"] = address
    return response


def _json(body: ApiObject, status: int = 200) -> Response:
    return Response(body.sent(), status=status, content_type="application/json")
