"""The one place that knows the driver: client creation and the translation of its errors.

Single-document atomic operations only, no transactions: they are enough for this design, and they behave alike
on MongoDB 7/8 and on the embedded wire-compatible store.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo.errors import PyMongoError

from shared.errors import StoreUnavailable
from shared.metrics import STORE_ERRORS, STORE_LATENCY

Document = dict[str, Any]
Client = AsyncIOMotorClient[Document]
Collection = AsyncIOMotorCollection[Document]
Database = AsyncIOMotorDatabase[Document]

P = ParamSpec("P")
R = TypeVar("R")

_TIMEOUT_MS = 5000


def open_client(url: str) -> Client:
    """Connects lazily, on first use. Every call has a deadline of 5 s; times come back as aware UTC."""
    return AsyncIOMotorClient(
        url,
        tz_aware=True,
        serverSelectionTimeoutMS=_TIMEOUT_MS,
        connectTimeoutMS=_TIMEOUT_MS,
        socketTimeoutMS=_TIMEOUT_MS,
        appname="nunmal",
    )


def translated(call: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Decorate a store method: what the driver raises leaves the store as StoreUnavailable. Calls are timed, and errors
    counted by their class, which is about a collection."""
    errors = STORE_ERRORS.labels(call.__qualname__.partition(".")[0].lower())

    @functools.wraps(call)
    async def translating(*args: P.args, **kwargs: P.kwargs) -> R:
        begun = time.perf_counter()
        try:
            return await call(*args, **kwargs)
        except PyMongoError as error:
            errors.inc()
            raise StoreUnavailable(f"{type(error).__name__} in {call.__qualname__}") from error
        finally:
            STORE_LATENCY.observe(time.perf_counter() - begun)

    return translating
