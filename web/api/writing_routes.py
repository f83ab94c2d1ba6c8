"""The routes under /v1/documents/answers: what a model writes from documents, fetched, followed and removed."""

from __future__ import annotations

from typing import cast

from quart import Blueprint, Response, request
from quart.typing import ResponseReturnValue

from shared.chat import Generation, GenerationState
from shared.errors import NotFound
from shared.organising_errors import SearchUnavailable
from web.api import document_objects as objects
from web.api.access import Callers
from web.api.envelope import Envelopes
from web.api.job_stream import JobStreams
from web.api.objects import ApiObject, JobStatus
from web.api.problems import DocumentAnswerUnknown
from web.api.service import failure_of
from web.api.shapes import model_of
from web.chat.hub import Hub
from web.chat.open_streams import OpenStreams
from web.chat.stream import StreamTimes, parse_position
from web.documents.writing import Writing, Written
from web.forms import query_value
from web.words import Words

PATH = "/v1/documents/answers"
_SCOPE = "documents"
_ONE = "/<string(minlength=20):answer>"


class Writings:
    """Answers as programs get them."""

    def __init__(self, writing: Writing, envelopes: Envelopes) -> None:
        self._writing = writing
        self._envelopes = envelopes

    async def get(self, user_id: str, answer_id: str) -> Written:
        """Raises DocumentAnswerUnknown, for a foreign one too."""
        try:
            return await self._writing.get(user_id, answer_id)
        except NotFound as error:
            raise DocumentAnswerUnknown from error

    async def told(self, written: Written, words: Words) -> objects.DocumentWriting:
        turn, is_failed = written.turn, written.turn.state is GenerationState.FAILED
        address = f"{PATH}/{turn.id}"
        return objects.DocumentWriting(
            id=turn.id,
            object="document.writing",
            status=cast("JobStatus", turn.shown_state.value),
            question=turn.question,
            model=model_of(turn, turn.lane.partition(".")[2]),
            text=self._writing.citing(written).bare(turn.answer),
            claims=await self._claims(written) if turn.state.is_final else None,
            sources=[
                objects.DocumentSource(
                    document=each.document_id, name=each.name, page=each.page, start=each.start, end=each.end
                )
                for each in turn.sources
            ],
            error=self._envelopes.body(failure_of(turn), words).error if is_failed else None,
            created=int(turn.created_at.timestamp()),
            status_url=address,
            stream_url=f"{address}/stream",
        )

    async def _claims(self, written: Written) -> list[objects.DocumentClaim] | None:
        citing, answer = self._writing.citing(written), written.turn.answer
        bare = citing.bare(answer)
        try:
            return [
                objects.DocumentClaim(text=bare[claim.start : claim.end], sources=list(sources))
                for claim, sources in await citing.claims(answer)
            ]
        except SearchUnavailable:
            return None


def writing_blueprint(
    writing: Writing,
    writings: Writings,
    callers: Callers,
    hub: Hub,
    envelopes: Envelopes,
    times: StreamTimes,
    open_streams: OpenStreams,
) -> Blueprint:
    blueprint = Blueprint("api_writing", __name__, url_prefix=PATH)

    async def ended(turn: Generation, words: Words) -> objects.DocumentWriting:
        return await writings.told(await writings.get(turn.user_id, turn.id), words)

    streams = JobStreams(hub, envelopes, times, ended)

    @blueprint.get(_ONE)
    async def one(answer: str) -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        return _json(await writings.told(await writings.get(key.user_id, answer), envelopes.language()))

    @blueprint.get(f"{_ONE}/stream")
    async def stream(answer: str) -> ResponseReturnValue:
        key = await callers.require(_SCOPE)
        turn = (await writings.get(key.user_id, answer)).turn
        position = parse_position(request.headers.get("Last-Event-ID") or query_value(request, "from"))
        events = streams.events(turn, position, envelopes.language())
        return await open_streams.response(key.user_id, events)

    @blueprint.delete(_ONE)
    async def remove(answer: str) -> ResponseReturnValue:
        """Stopped first."""
        key = await callers.require(_SCOPE)
        await writings.get(key.user_id, answer)
        await writing.remove(key.user_id, answer)
        return _json(objects.DocumentAnswerDeleted(id=answer, object="document.writing.deleted", deleted=True))

    return blueprint


def _json(body: ApiObject) -> Response:
    return Response(body.sent(), content_type="application/json")
