"""The one place that turns what went wrong into a status and a page. Unknown errors tell nobody anything."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar
from urllib.parse import quote

from quart import Quart, Response, redirect, render_template, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from shared.digest_errors import DigestTooLarge
from shared.document_errors import DocumentTooLarge
from shared.errors import (
    AccessError,
    AdapterBusy,
    AdapterInUse,
    AdapterRefused,
    Busy,
    CsrfFailed,
    EmailTaken,
    Forbidden,
    InputError,
    LimitReached,
    LinkEnded,
    LoginFailed,
    LoginRequired,
    MessageInvalid,
    MessageTooLong,
    NotFound,
    NunmalError,
    PicturesUnsupported,
    PictureTooLarge,
    RolloutFailed,
    SecondStepChanged,
    ServiceError,
)
from web.visitor import Visitors

log = logging.getLogger(__name__)

E = TypeVar("E", bound=Exception)

_RETRY_AFTER_S = 5  # where nothing was measured

_STATUSES: tuple[tuple[type[NunmalError], int], ...] = (
    (MessageInvalid, 400),
    (MessageTooLong, 413),
    (PictureTooLarge, 413),
    (DocumentTooLarge, 413),
    (DigestTooLarge, 413),
    (EmailTaken, 409),
    (AdapterInUse, 409),
    (InputError, 422),
    (PicturesUnsupported, 422),
    (LoginFailed, 401),
    (LoginRequired, 401),
    (CsrfFailed, 403),
    (Forbidden, 403),
    (NotFound, 404),
    (LinkEnded, 404),
    (SecondStepChanged, 409),
    (AccessError, 403),
    (Busy, 409),
    (AdapterBusy, 409),
    (RolloutFailed, 409),
    (AdapterRefused, 422),
    (LimitReached, 429),
    (ServiceError, 503),
)
_HOME = "/", "page.home"
_WAYS_ON: dict[type[NunmalError], tuple[str, str]] = {  # the way on that its page offers: a path, and what to call it
    LoginRequired: ("/login", "login.submit"),
    LoginFailed: ("/login", "login.submit"),
    LinkEnded: ("/reset", "reset.submit"),
}
_EXPLAINED = frozenset({400, 404, 405, 408, 413, 503})


def status_of(error: NunmalError) -> int:
    """The HTTP status of an error of ours."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def add_retry_after(response: Response, error: NunmalError) -> None:
    """Tell clients when trying again can help."""
    if error.retryable:
        wait_s = float(error.facts.get("retry_after_s", _RETRY_AFTER_S))
        response.headers["Retry-After"] = str(max(1, math.ceil(wait_s)))


def page_after(body: str, error: NunmalError | None) -> Response:
    """A page that tells what was refused, with its status; or one that has nothing to tell."""
    status = status_of(error) if error else 200
    response = Response(body, status=status, content_type="text/html; charset=utf-8")
    if error:
        add_retry_after(response, error)
    return response


class Machines(Protocol):
    """How programs are told what went wrong (web/api/envelope.py)."""

    def covers(self, path: str) -> bool: ...

    def response(self, error: Exception) -> Response: ...


def register_errors(app: Quart, visitors: Visitors, machines: Machines) -> None:
    """Pages for every error that no route handled itself; for programs, what `machines` says."""

    async def page(status: int, sentence: str, way_on: tuple[str, str] = _HOME) -> Response:
        words = visitors.current().words
        title, (path, key) = words("page.missing" if status == 404 else "page.error"), way_on
        body = await render_template(
            "error.html", status=status, title=title, sentence=sentence, path=path, link=words(key)
        )
        return Response(body, status=status, content_type="text/html; charset=utf-8")

    async def on_nunmal_error(error: NunmalError) -> ResponseReturnValue:
        status = status_of(error)
        is_page = request.method in ("GET", "HEAD") and "/stream/" not in request.path
        if isinstance(error, LoginRequired) and is_page:
            return redirect(f"/login?next={quote(request.path)}", 303)
        words = visitors.current().words
        if status == 500:
            log.error("request_failed", exc_info=error)
            return await page(500, words("error.internal"))
        way_on = next((way for kind, way in _WAYS_ON.items() if isinstance(error, kind)), _HOME)
        response = await page(status, words.explain(error), way_on)
        add_retry_after(response, error)
        return response

    async def on_http_error(error: HTTPException) -> ResponseReturnValue:
        status = error.code or 500
        if status < 400:
            return error.get_response()  # a redirect made by the router
        words = visitors.current().words
        key = f"http.{status}" if status in _EXPLAINED else "http.other"
        return await page(status, words(key))

    async def on_unknown_error(error: Exception) -> ResponseReturnValue:
        log.error("request_failed", exc_info=error)
        return await page(500, visitors.current().words("error.internal"))

    def told(page: Callable[[E], Awaitable[ResponseReturnValue]]) -> Callable[[E], Awaitable[ResponseReturnValue]]:
        async def handler(error: E) -> ResponseReturnValue:
            return machines.response(error) if machines.covers(request.path) else await page(error)

        return handler

    app.register_error_handler(NunmalError, told(on_nunmal_error))
    app.register_error_handler(HTTPException, told(on_http_error))
    app.register_error_handler(Exception, told(on_unknown_error))
