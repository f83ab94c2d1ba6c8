"""Everything that goes wrong under /v1, as OpenAI's error object: JSON for programs, a sentence for people in it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from quart import Response, request
from werkzeug.exceptions import HTTPException

from shared.errors import (
    AccessError,
    AdapterBusy,
    AdapterInUse,
    AdapterRefused,
    AdapterVersionUnknown,
    Busy,
    Fact,
    GenerationError,
    InputError,
    LimitReached,
    NotFound,
    NunmalError,
    PicturesUnsupported,
    PromptRefused,
    PromptTooLong,
    SchemaUnsupported,
    ServiceError,
    UpstreamCannot,
)
from web.api.objects import Error, ErrorBody
from web.api.problems import ApiKeyInvalid, ContentTypeUnknown
from web.words import DEFAULT_LANGUAGE, Words

log = logging.getLogger(__name__)

PREFIX = "/v1"
_RETRY_AFTER_S = 5  # where nothing was measured
_STATUSES: tuple[tuple[type[NunmalError], int], ...] = (
    (ApiKeyInvalid, 401),
    (NotFound, 404),
    (AccessError, 403),
    (ContentTypeUnknown, 415),
    (AdapterVersionUnknown, 404),
    (AdapterInUse, 409),
    (InputError, 400),
    (PromptTooLong, 400),
    (PromptRefused, 400),
    (SchemaUnsupported, 400),
    (PicturesUnsupported, 400),
    (UpstreamCannot, 400),
    (AdapterRefused, 400),
    (AdapterBusy, 409),
    (Busy, 409),
    (LimitReached, 429),
    (ServiceError, 503),
)
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {"prompt_too_long": "context_length_exceeded", "schema_unsupported": "invalid_value"}
_PARAMS = {
    "prompt_too_long": "messages",
    "prompt_refused": "messages",
    "pictures_unsupported": "messages",
    "schema_unsupported": "response_format",
}
_HTTP_CODES = {404: "unknown_url", 405: "method_not_allowed", 408: "request_timeout", 413: "request_too_large"}
# Sentences that pages say differently: they tell what became of what somebody typed.
_SENTENCES = {
    "not_found": "api.job_not_found",
    "limit_reached": "api.limit_reached",
    "too_many_answers": "api.too_many_answers",
    "tokens_per_minute": "api.tokens_per_minute",
    "tokens_per_day": "api.tokens_per_day",
    "queue_full": "api.queue_full",
    "prompt_too_long": "api.prompt_too_long",
    "generation_crashed": "api.generation_crashed",
    "too_many_attempts": "api.generation_crashed",
    "deadline_exceeded": "api.deadline_exceeded",
}


class Envelopes:
    """Puts errors into words. `words`: all catalogues by language."""

    def __init__(self, words: Mapping[str, Words]) -> None:
        self._words = words

    def covers(self, path: str) -> bool:
        """Everything there answers JSON."""
        return path == PREFIX or path.startswith(f"{PREFIX}/")

    def language(self) -> Words:
        """What this request's Accept-Language asks for: Korean unless it prefers English."""
        wanted = (tag.partition("-")[0].lower() for tag, _ in request.accept_languages)
        return self._words[next((language for language in wanted if language in self._words), DEFAULT_LANGUAGE)]

    def response(self, error: Exception) -> Response:
        """Of a request whose answer has not begun."""
        status, body = _status_of(error), self.body(error, self.language())
        response = Response(body.sent(), status=status, content_type="application/json")
        for name, value in _headers_of(error).items():
            response.headers[name] = value
        return response

    def body(self, error: Exception, words: Words) -> ErrorBody:
        """Also for the middle of a stream. What nobody foresaw is logged and tells nothing."""
        status = _status_of(error)
        kind: Any = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
        if isinstance(error, HTTPException) and status != 500:
            code = _HTTP_CODES.get(status, "bad_request")
            return ErrorBody(error=Error(message=_http_sentence(status, words), type=kind, param=None, code=code))
        if not isinstance(error, NunmalError) or (status == 500 and not isinstance(error, GenerationError)):
            log.error("api_request_failed", exc_info=error)
            return ErrorBody(error=Error(message=words("error.internal"), type=kind, param=None, code="internal_error"))
        param = error.facts.get("param") or _PARAMS.get(error.code)
        code = "rate_limit_exceeded" if isinstance(error, LimitReached) else _CODES.get(error.code, error.code)
        message = _sentence(error.code, error.facts, words)
        return ErrorBody(error=Error(message=message, type=kind, param=str(param) if param else None, code=code))

    def told(self, code: str, facts: Mapping[str, Fact], words: Words) -> Error:
        """Of something that failed earlier because of what was sent, from what was kept of it."""
        return Error(message=_sentence(code, facts, words), type="invalid_request_error", param=None, code=code)


def _status_of(error: Exception) -> int:
    if isinstance(error, HTTPException):
        status = error.code or 500
        return 404 if status < 400 else status  # a redirect to a page: there is none
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def _headers_of(error: Exception) -> dict[str, str]:
    if isinstance(error, NunmalError) and error.retryable:
        wait_s = float(error.facts.get("retry_after_s", _RETRY_AFTER_S))
        return {"Retry-After": str(max(1, math.ceil(wait_s)))}
    if isinstance(error, ApiKeyInvalid):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, HTTPException) and error.code == 405:
        allowed = error.get_response().headers.get("Allow")
        return {"Allow": allowed} if allowed else {}
    return {}


def _http_sentence(status: int, words: Words) -> str:
    match status:
        case 404:
            return words("api.unknown_url")
        case 405 | 408 | 413:
            return words(f"http.{status}")
        case _:
            return words("http.other")


def _sentence(code: str, facts: Mapping[str, Fact], words: Words) -> str:
    key = _SENTENCES.get(code)
    if key is None:
        return words.explain_code(code, facts)
    if "retry_after_s" in facts:
        facts = {**facts, "wait": words.duration(float(facts["retry_after_s"]))}
    return words(key, **facts)
