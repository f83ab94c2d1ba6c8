"""The routes under /v1: they read the request, call the service, and answer with JSON or a stream of events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TypeVar

from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue

from shared.chat import Generation, GenerationState
from shared.ids import new_id
from shared.store.keys import ApiKey
from web.api import drafts, shapes
from web.api.access import Callers
from web.api.body import read_body
from web.api.envelope import PREFIX, Envelopes
from web.api.job_stream import JobStreams
from web.api.limit import asked_limit
from web.api.models import Models
from web.api.objects import ApiObject, Job, JobList, ModelList
from web.api.pictures import keep_pictures
from web.api.requests import ChatCompletionRequest, CompletionRequest, JobRequest, TextFormat
from web.api.service import ApiService
from web.api.stream import CompletionStreams
from web.bodies import LargeBodies
from web.chat.hub import Hub
from web.chat.line import Lines, Place
from web.chat.open_streams import OpenStreams
from web.chat.stream import StreamTimes, parse_position
from web.forms import query_value
from web.pictures.service import PictureService
from web.words import Words

B = TypeVar("B", ChatCompletionRequest, JobRequest)


def api_blueprint(
    service: ApiService,
    callers: Callers,
    hub: Hub,
    lines: Lines,
    envelopes: Envelopes,
    times: StreamTimes,
    open_streams: OpenStreams,
    pictures: PictureService,
    large_bodies: LargeBodies,
    document: str,
    models: Models,
    *,
    lane: str,
) -> Blueprint:
    """`document`: the OpenAPI document. `models`: what `lane` serves."""
    blueprint = Blueprint("api", __name__, url_prefix=PREFIX)
    model = models.model
    streams = CompletionStreams(service, hub, envelopes, times, model)

    async def ended_job(turn: Generation, words: Words) -> Job:
        return shapes.job_of(await service.get(turn.user_id, turn.id), None, model, envelopes, words)

    job_streams = JobStreams(hub, envelopes, times, ended_job)

    @blueprint.post("/chat/completions")
    async def chat_completions() -> ResponseReturnValue:
        key = await callers.require("chat")
        body, drafts_made = await asked(key, ChatCompletionRequest)
        turns = await service.submit(drafts_made)
        if body.stream:
            return await streamed(turns, bool(body.stream_options and body.stream_options.include_usage))
        return _json(shapes.chat_completion(await streams.whole(turns), model))

    @blueprint.post("/completions")
    async def completions() -> ResponseReturnValue:
        key = await callers.require("completions")
        body = await read_body(request, CompletionRequest)
        adapter = await models.adapter(body.model, new_id())
        turns = await service.submit(answered_by(adapter, drafts.of_text(body, key.user_id, lane)))
        if body.stream:
            return await streamed(turns, bool(body.stream_options and body.stream_options.include_usage))
        return _json(shapes.text_completion(await streams.whole(turns), model))

    async def asked(key: ApiKey, kind: type[B]) -> tuple[B, list[Generation]]:
        with large_bodies.reading(request, key.user_id):
            body = await read_body(request, kind)
            adapter = await models.adapter(body.model, new_id())
            body.check()
            if any(message.images for message in body.messages):
                await service.require_room(key.user_id, lane)
            shown = await keep_pictures(body, key.user_id, pictures)
        if body.response_format is None or isinstance(body.response_format, TextFormat):
            return body, answered_by(adapter, drafts.of_chat(body, key.user_id, lane, shown))
        made = await service.checked(key.user_id, lane, lambda: drafts.of_chat(body, key.user_id, lane, shown))
        return body, answered_by(adapter, made)

    def answered_by(adapter: str | None, made: list[Generation]) -> list[Generation]:
        return [replace(draft, adapter=adapter) for draft in made]

    async def streamed(turns: list[Generation], with_usage: bool) -> Response:
        return _events(await streams.open(turns, envelopes.language(), with_usage=with_usage))

    @blueprint.get("/models")
    async def all_models() -> ResponseReturnValue:
        await callers.require("models")
        return _json(ModelList(object="list", data=await models.listed()))

    @blueprint.get("/models/<path:name>")
    async def one_model(name: str) -> ResponseReturnValue:
        await callers.require("models")
        return _json(await models.one(name))

    @blueprint.post("/jobs")
    async def submit_job() -> ResponseReturnValue:
        key = await callers.require("jobs")
        _, drafts_made = await asked(key, JobRequest)
        (turn,) = await service.submit(drafts_made)
        response = _json(await job(turn), 202)
        response.headers["Location"] = f"{PREFIX}/jobs/{turn.id}"
        return response

    @blueprint.get("/jobs")
    async def jobs() -> ResponseReturnValue:
        key = await callers.require("jobs")
        found = await service.latest_jobs(key.user_id, asked_limit(request))
        return _json(JobList(object="list", data=[await job(turn) for turn in found]))

    @blueprint.get("/jobs/<name>")
    async def one_job(name: str) -> ResponseReturnValue:
        return _json(await job(await asked_for(await callers.require("jobs"), name)))

    @blueprint.get("/jobs/<name>/stream")
    async def job_stream(name: str) -> ResponseReturnValue:
        key = await callers.require("jobs")
        turn = await asked_for(key, name)
        position = parse_position(request.headers.get("Last-Event-ID") or query_value(request, "from"))
        events = job_streams.events(turn, position, envelopes.language())
        return _events(await open_streams.opened(key.user_id, events))

    @blueprint.post("/jobs/<name>/cancel")
    async def cancel_job(name: str) -> ResponseReturnValue:
        key = await callers.require("jobs")
        return _json(await job(await service.cancel(key.user_id, shapes.generation_id(name))))

    @blueprint.get("/openapi.json")
    async def openapi() -> ResponseReturnValue:
        return Response(document, content_type="application/json")

    async def asked_for(key: ApiKey, name: str) -> Generation:
        return await service.get(key.user_id, shapes.generation_id(name))

    async def job(turn: Generation) -> Job:
        place: Place | None = None
        if turn.state is GenerationState.QUEUED:
            place = await lines.place(turn)
        return shapes.job_of(turn, place, model, envelopes, envelopes.language())

    return blueprint


def _json(body: ApiObject, status: int = 200) -> Response:
    return Response(body.sent(), status=status, content_type="application/json")


def _events(stream: AsyncGenerator[str, None]) -> Response:
    response = Response(stream, content_type="text/event-stream; charset=utf-8")
    response.headers["X-Accel-Buffering"] = "no"
    response.timeout = None
    return response
