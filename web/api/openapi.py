"""GET /v1/openapi.json: OpenAPI 3.1, made of the classes that read requests and write responses.

What a route takes and gives stands in `OPERATIONS`; a test compares it with the routes and with what they really send.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.adapters.folder import FILES
from web.api.adapter_objects import Adapter, AdapterList, Differences, Version
from web.api.digest_objects import (
    DigestBatch,
    DigestBatchRequest,
    DigestRequest,
    DigestsDeleted,
    DigestTask,
    DigestTaskList,
)
from web.api.document_objects import (
    Document,
    DocumentAnswer,
    DocumentAnswerDeleted,
    DocumentCollection,
    DocumentCollectionDeleted,
    DocumentCollectionList,
    DocumentDeleted,
    DocumentList,
    DocumentWriting,
)
from web.api.objects import (
    ChatCompletion,
    ChatCompletionChunk,
    Completion,
    ErrorBody,
    Job,
    JobList,
    JobState,
    JobText,
    Model,
    ModelList,
)
from web.api.requests import (
    AskRequest,
    CanaryRequest,
    ChatCompletionRequest,
    CollectionRequest,
    CompletionRequest,
    JobRequest,
    OverrideRequest,
)

JSON = "application/json"
EVENTS = "text/event-stream"
FORM = "multipart/form-data"
_RESEARCH = "adapters"
_BINARY = {"type": "string", "format": "binary"}
_WRITING = "/v1/documents/answers/{answer}"
_COLLECTION = "/v1/documents/collections/{collection}"
_COLLECTED = f"{_COLLECTION}/documents/{{document}}"

_REFUSALS = {
    400: "The request is not what this route takes; `param` says where.",
    401: "No valid API key.",
    403: "The key may not do this.",
    404: "There is no such model, job, document, answer, collection or address.",
    409: "Another change is under way, or it is in use.",
    413: "The body is too large.",
    415: "The body is not of the type this route takes.",
    429: "A limit of this account is reached.",
    500: "A fault of ours.",
    503: "A part of the service is away or full.",
}
_LIMIT = {"limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}}
_ALWAYS = (401, 403, 500, 503)
_WITH_BODY = (400, 404, 413, 415, 429)  # 404: an unknown model
_RETRIED = (429, 503)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    name: str
    summary: str
    answers: dict[str, type[BaseModel] | None]  # by content type; None: any JSON
    scope: str | None = None  # None: needs no key
    body: type[BaseModel] | None = None
    files: tuple[str, ...] = ()  # of a form
    more_files: tuple[str, ...] = ()  # of that form, any number of each
    fields: tuple[str, ...] = ()  # of that form, beside its files
    status: int = 200
    refusals: tuple[int, ...] = ()
    query: dict[str, dict[str, Any]] = field(default_factory=dict)


OPERATIONS = (
    Operation(
        *("post", "/v1/chat/completions", "createChatCompletion", "Answer a conversation."),
        answers={JSON: ChatCompletion, EVENTS: ChatCompletionChunk},
        scope="chat",
        body=ChatCompletionRequest,
        refusals=_WITH_BODY,
    ),
    Operation(
        *("post", "/v1/completions", "createCompletion", "Go on with a text, as it is."),
        answers={JSON: Completion, EVENTS: Completion},
        scope="completions",
        body=CompletionRequest,
        refusals=_WITH_BODY,
    ),
    Operation(
        *("get", "/v1/models", "listModels", "The models that answer here."),
        answers={JSON: ModelList},
        scope="models",
    ),
    Operation(
        *("get", "/v1/models/{model}", "retrieveModel", "One of them."),
        answers={JSON: Model},
        scope="models",
        refusals=(404,),
    ),
    Operation(
        *("post", "/v1/jobs", "createJob", "Ask now, fetch later: the same answer as a chat completion gets."),
        answers={JSON: Job},
        scope="jobs",
        body=JobRequest,
        status=202,
        refusals=_WITH_BODY,
    ),
    Operation(
        *("get", "/v1/jobs", "listJobs", "Your jobs, the last first."),
        answers={JSON: JobList},
        scope="jobs",
        refusals=(400,),
        query=_LIMIT,
    ),
    Operation(
        *("get", "/v1/jobs/{job}", "retrieveJob", "One of them, or another answer of this API by its id."),
        answers={JSON: Job},
        scope="jobs",
        refusals=(404,),
    ),
    Operation(
        *("get", "/v1/jobs/{job}/stream", "streamJob", "Events state, text, done; Last-Event-ID resumes."),
        answers={EVENTS: None},
        scope="jobs",
        refusals=(404,),
        query={"from": {"type": "string", "description": "Like Last-Event-ID, for clients that cannot send it."}},
    ),
    Operation(
        *("post", "/v1/jobs/{job}/cancel", "cancelJob", "Stop it; what is written stays."),
        answers={JSON: Job},
        scope="jobs",
        refusals=(404,),
    ),
    Operation(
        *("post", "/v1/documents", "createDocument", "Upload a file and have it read; the same bytes are kept once."),
        answers={JSON: Document},
        scope="documents",
        status=202,
        refusals=(400, 413, 415, 429),
        files=("file",),
        more_files=("picture",),
    ),
    Operation(
        *("get", "/v1/documents", "listDocuments", "Your documents, the last first."),
        answers={JSON: DocumentList},
        scope="documents",
    ),
    Operation(
        *("get", "/v1/documents/{document}", "retrieveDocument", "One of them, and how far it is read."),
        answers={JSON: Document},
        scope="documents",
        refusals=(404,),
    ),
    Operation(
        *("delete", "/v1/documents/{document}", "deleteDocument", "It and all that was made of it, read or not."),
        answers={JSON: DocumentDeleted},
        scope="documents",
        refusals=(404,),
    ),
    Operation(
        *("post", "/v1/documents/ask", "askDocuments", "Sentences of your documents that answer, with their pages."),
        answers={JSON: DocumentAnswer},
        scope="documents",
        body=AskRequest,
        refusals=(400, 404, 413, 415),
    ),
    Operation(
        *("get", _WRITING, "retrieveDocumentAnswer", "What a model writes from your documents, as far as it is."),
        answers={JSON: DocumentWriting},
        scope="documents",
        refusals=(404,),
    ),
    Operation(
        *("get", f"{_WRITING}/stream", "streamDocumentAnswer", "The same as it is written, as events."),
        answers={EVENTS: None},
        scope="documents",
        refusals=(404,),
    ),
    Operation(
        *("delete", _WRITING, "deleteDocumentAnswer", "Stop and remove it."),
        answers={JSON: DocumentAnswerDeleted},
        scope="documents",
        refusals=(404,),
    ),
    Operation(
        *("post", "/v1/documents/collections", "createCollection", "A collection, for documents asked together."),
        answers={JSON: DocumentCollection},
        scope="documents",
        status=201,
        body=CollectionRequest,
        refusals=(400, 413, 415),
    ),
    Operation(
        *("get", "/v1/documents/collections", "listCollections", "Your collections by name, with what lies in them."),
        answers={JSON: DocumentCollectionList},
        scope="documents",
    ),
    Operation(
        *("get", _COLLECTION, "retrieveCollection", "One of them."),
        answers={JSON: DocumentCollection},
        scope="documents",
        refusals=(404,),
    ),
    Operation(
        *("post", _COLLECTION, "renameCollection", "Call it otherwise."),
        answers={JSON: DocumentCollection},
        scope="documents",
        body=CollectionRequest,
        refusals=(400, 404, 413, 415),
    ),
    Operation(
        *("delete", _COLLECTION, "deleteCollection", "Its documents stay, or go with it."),
        answers={JSON: DocumentCollectionDeleted},
        scope="documents",
        refusals=(400, 404),
        query={"documents": {"type": "string", "enum": ["keep", "delete"], "default": "keep"}},
    ),
    Operation(
        *("put", _COLLECTED, "putDocument", "Put it in, out of the collection it lay in; it lies in one at most."),
        answers={JSON: DocumentCollection},
        scope="documents",
        refusals=(400, 404),
    ),
    Operation(
        *("delete", _COLLECTED, "takeDocument", "Take it out; it stays."),
        answers={JSON: DocumentCollection},
        scope="documents",
        refusals=(404,),
    ),
    Operation(
        *("get", "/v1/adapters", "listAdapters", "Every adapter with its versions, and how they are used."),
        answers={JSON: AdapterList},
        scope=_RESEARCH,
    ),
    Operation(
        *("post", "/v1/adapters", "pushAdapter", "Check an adapter and keep it as a version; it is not used yet."),
        answers={JSON: Version},
        scope=_RESEARCH,
        status=201,
        refusals=(400, 413, 415),
        files=FILES,
        fields=("name",),
    ),
    Operation(
        *("get", "/v1/adapters/{name}", "retrieveAdapter", "One of them, and how far each worker is."),
        answers={JSON: Adapter},
        scope=_RESEARCH,
        refusals=(400,),
    ),
    Operation(
        *("get", "/v1/adapters/{one}/diff/{other}", "diffAdapters", "What two versions differ in."),
        answers={JSON: Differences},
        scope=_RESEARCH,
        refusals=(400, 404),
    ),
    Operation(
        *(
            "post",
            "/v1/adapters/{version}/activate",
            "activateAdapter",
            "Through the gate, and answer with it once all workers have tested it.",
        ),
        answers={JSON: Adapter},
        scope=_RESEARCH,
        refusals=(400, 404, 409),
    ),
    Operation(
        *("post", "/v1/adapters/{version}/override", "overrideGate", "Use it whatever the gate says; for operators."),
        answers={JSON: Adapter},
        scope=_RESEARCH,
        body=OverrideRequest,
        refusals=(400, 404, 409, 415),
    ),
    Operation(
        *("post", "/v1/adapters/{version}/canary", "canaryAdapter", "The same for a share of conversations."),
        answers={JSON: Adapter},
        scope=_RESEARCH,
        body=CanaryRequest,
        refusals=(400, 404, 409, 415),
    ),
    Operation(
        *("post", "/v1/adapters/{version}/retire", "retireAdapter", "It is used no more, and its files go."),
        answers={JSON: Adapter},
        scope=_RESEARCH,
        refusals=(400, 404, 409),
    ),
    Operation(
        *("post", "/v1/adapters/{name}/rollback", "rollBackAdapter", "End what is rolled out, or go one version back."),
        answers={JSON: Adapter},
        scope=_RESEARCH,
        refusals=(400, 409),
    ),
    Operation(
        *("post", "/v1/digests", "createDigest", "Digest an article; the same one comes back."),
        answers={JSON: DigestTask},
        scope="digests",
        body=DigestRequest,
        status=202,
        refusals=(400, 413, 415),
    ),
    Operation(
        *("get", "/v1/digests", "listDigests", "Your digests, the last first."),
        answers={JSON: DigestTaskList},
        scope="digests",
        refusals=(400,),
        query=_LIMIT,
    ),
    Operation(
        *("get", "/v1/digests/schema", "getDigestSchema", "JSON Schema of an article and of a digest."),
        answers={JSON: None},
    ),
    Operation(
        *("post", "/v1/digests/batches", "createDigestBatch", "Digest many; one that cannot be used fails alone."),
        answers={JSON: DigestBatch},
        scope="digests",
        body=DigestBatchRequest,
        status=202,
        refusals=(400, 413, 415),
    ),
    Operation(
        *("get", "/v1/digests/batches/{batch}", "retrieveDigestBatch", "How far it is, and what is done."),
        answers={JSON: DigestBatch},
        scope="digests",
        refusals=(404,),
    ),
    Operation(
        *("delete", "/v1/digests/batches/{batch}", "deleteDigestBatch", "Stop it, and remove it with its articles."),
        answers={JSON: DigestsDeleted},
        scope="digests",
        refusals=(404,),
    ),
    Operation(
        *("get", "/v1/digests/{name}", "retrieveDigest", "One of them."),
        answers={JSON: DigestTask},
        scope="digests",
        refusals=(404,),
    ),
    Operation(
        *("delete", "/v1/digests/{name}", "deleteDigest", "Stop it, and remove it with its article."),
        answers={JSON: DigestsDeleted},
        scope="digests",
        refusals=(404,),
    ),
    Operation(
        *("get", "/v1/openapi.json", "getOpenApi", "This document."),
        answers={JSON: None},
        refusals=(),
    ),
)
_EVENT_DATA = (JobState, JobText)


@functools.cache
def openapi_document() -> str:
    """As JSON text."""
    kinds = {
        kind
        for operation in OPERATIONS
        for kind in (*operation.answers.values(), operation.body, ErrorBody, *_EVENT_DATA)
        if kind is not None
    }
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = models_json_schema(
        [(kind, "validation") for kind in ordered], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Nunmal API",
            "version": "1",
            "description": "Speaks OpenAI's chat completions, completions and models; the rest is our own.",
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "sk-nunmal-..."}},
            "schemas": schemas["$defs"],
        },
    }
    return json.dumps(document, ensure_ascii=False)


def _described(operation: Operation) -> dict[str, Any]:
    always = _ALWAYS if operation.scope else (500,)
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {
            str(operation.status): {
                "description": "What was asked for.",
                "content": {media: _content(media, kind) for media, kind in operation.answers.items()},
            }
        }
        | {str(status): _refusal(status) for status in sorted({*always, *operation.refusals})},
    }
    if operation.scope is None:
        described["security"] = []
    else:
        described["description"] = f"The key needs the scope `{operation.scope}`."
    if parameters := _parameters(operation):
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": _reference(operation.body)}}}
    elif operation.files:
        described["requestBody"] = {"required": True, "content": {FORM: {"schema": _form(operation)}}}
    return described


def _form(operation: Operation) -> dict[str, Any]:
    fields: dict[str, Any] = {name: {"type": "string"} for name in operation.fields}
    fields |= dict.fromkeys(operation.files, _BINARY)
    more = {file: {"type": "array", "items": _BINARY} for file in operation.more_files}
    return {"type": "object", "required": list(fields), "properties": fields | more}


def _content(media: str, kind: type[BaseModel] | None) -> dict[str, Any]:
    if media == JSON:
        return {"schema": _reference(kind) if kind else {"type": "object"}}
    data = kind.__name__ if kind else "JobState, JobText, Job (DocumentWriting) or ErrorBody, as its event's name says"
    return {"schema": {"type": "string", "description": f"Server-Sent Events; the data of each is JSON: {data}."}}


def _refusal(status: int) -> dict[str, Any]:
    refusal: dict[str, Any] = {
        "description": _REFUSALS[status],
        "content": {JSON: {"schema": _reference(ErrorBody)}},
    }
    if status in _RETRIED:
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        refusal["headers"] = {"Retry-After": seconds}
    return refusal


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
    ]
    return found + [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()]


def _reference(kind: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
