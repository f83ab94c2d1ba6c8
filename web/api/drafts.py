"""From a request to the generations it asks for. Pure, except that JSON Schemas are compiled to be checked."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType

from shared.chat import Generation, GenerationState, JobClass, Message, Origin, PictureRef, Role, SamplingParams
from shared.errors import SchemaUnsupported
from shared.ids import new_id
from shared.json_schema import check_schema
from web.api.problems import ParameterInvalid
from web.api.requests import (
    ChatCompletionRequest,
    CompletionRequest,
    JobRequest,
    JsonSchemaFormat,
    ResponseFormat,
    TextFormat,
)

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}
_SEEDS = 2**63
_LEAST_TOP_P = 1e-6  # 0 means the likeliest token, like this
_ANY_OBJECT = {"type": "object"}


def of_chat(
    body: ChatCompletionRequest | JobRequest,
    user_id: str,
    lane: str,
    shown: Mapping[int, tuple[PictureRef, ...]] = MappingProxyType({}),
) -> list[Generation]:
    """One for each choice. `shown`: pictures, by the place of their message.

    Raises ParameterInvalid, SchemaUnsupported. With a schema it takes up to 300 ms: call it in a thread then."""
    body.check()
    sampling = replace(
        _sampling(body, body.most_tokens),
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        json_schema=_schema(body.response_format),
    )
    prompt = tuple(
        Message(_ROLES[message.role], message.text, shown.get(place, ())) for place, message in enumerate(body.messages)
    )
    origin = Origin.CHAT if isinstance(body, ChatCompletionRequest) else Origin.JOB
    draft = replace(
        draft_of(prompt, sampling, user_id, lane, origin),
        pictures=tuple(picture for pictures in shown.values() for picture in pictures),
    )
    if isinstance(body, ChatCompletionRequest):
        return _choices(draft, body.seed, body.n)
    job_class = JobClass.BULK if body.priority == "bulk" else JobClass.INTERACTIVE
    return _choices(replace(draft, job_class=job_class), body.seed, 1)


def of_text(body: CompletionRequest, user_id: str, lane: str) -> list[Generation]:
    """One for each choice. Raises ParameterInvalid."""
    body.check()
    sampling = replace(_sampling(body, body.max_tokens), logprobs=body.logprobs)
    return _choices(draft_of(body.text, sampling, user_id, lane, Origin.TEXT), body.seed, body.n)


def length_of(draft: Generation) -> int:
    """Of its prompt, in characters."""
    if isinstance(draft.prompt, str):
        return len(draft.prompt)
    return sum(len(message.content) for message in draft.prompt or ())


def draft_of(
    prompt: tuple[Message, ...] | str, sampling: SamplingParams, user_id: str, lane: str, origin: Origin
) -> Generation:
    generation_id = new_id()
    return Generation(
        id=generation_id,
        conversation_id=generation_id,  # of no conversation: there is none with this id
        user_id=user_id,
        parent_id=None,
        question="",
        lane=lane,
        state=GenerationState.QUEUED,
        seed=0,
        tag=0.0,
        created_at=datetime.now(UTC),
        origin=origin,
        prompt=prompt,
        sampling=sampling,
    )


def _choices(draft: Generation, seed: int | None, count: int | None) -> list[Generation]:
    """The same draft with one seed after another; the first keeps its id, which names them all."""
    first = secrets.randbits(63) if seed is None else seed
    ids = [draft.id, *(new_id() for _ in range(1, count or 1))]
    return [
        replace(draft, id=each, conversation_id=each, seed=(first + index) % _SEEDS) for index, each in enumerate(ids)
    ]


def _sampling(body: ChatCompletionRequest | JobRequest | CompletionRequest, most_tokens: int | None) -> SamplingParams:
    return SamplingParams(
        temperature=body.temperature,
        top_p=None if body.top_p is None else max(body.top_p, _LEAST_TOP_P),
        top_k=None if body.top_k is None else max(body.top_k, 0),
        max_new_tokens=most_tokens,
        stop=body.stops,
        frequency_penalty=body.frequency_penalty or 0.0,
        presence_penalty=body.presence_penalty or 0.0,
        min_p=body.min_p,
        repetition_penalty=body.repetition_penalty,
    )


def _schema(wanted: ResponseFormat | None) -> str | None:
    if wanted is None or isinstance(wanted, TextFormat):
        return None
    named = wanted.json_schema.schema_ if isinstance(wanted, JsonSchemaFormat) else None
    try:
        schema = json.dumps(named if named is not None else _ANY_OBJECT, ensure_ascii=False, allow_nan=False)
    except ValueError as error:  # a number that JSON does not have
        raise ParameterInvalid(param="response_format.json_schema.schema") from error
    try:
        check_schema(schema)
    except SchemaUnsupported as error:
        raise SchemaUnsupported("", **error.facts, param="response_format.json_schema.schema") from error
    return schema
