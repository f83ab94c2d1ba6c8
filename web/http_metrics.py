"""Counts requests by the door they came through, and what they were answered."""

from __future__ import annotations

import time

from quart import Quart, Response, g, request

from shared.metrics import HTTP_REQUEST_DURATION, HTTP_REQUESTS

_DOORS = ("page", "api", "stream", "asset", "health")
_HEALTH = ("/healthz", "/readyz", "/acceptz")


def door_of(path: str) -> str:
    """`api`, `stream`, `asset`, `health` or `page`: few, whatever people type."""
    if path.startswith("/v1/"):
        return "api"
    if path.startswith(("/static/", "/favicon.ico")):
        return "asset"
    if path in _HEALTH:
        return "health"
    return "stream" if "/stream/" in path else "page"


def count_requests(app: Quart) -> None:
    """From now on, whatever answers: a route, a refusal or an error's page."""
    for door in _DOORS:
        HTTP_REQUESTS.labels(door, "5xx")  # from 0, so that the first one is seen as a rise

    @app.before_request
    async def begin() -> None:
        g.begun = time.perf_counter()

    @app.after_request
    async def end(response: Response) -> Response:
        door = door_of(request.path)
        HTTP_REQUESTS.labels(door, f"{response.status_code // 100}xx").inc()
        if (begun := g.get("begun")) is not None:
            HTTP_REQUEST_DURATION.labels(door).observe(time.perf_counter() - begun)
        return response
