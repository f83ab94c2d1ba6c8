"""Waiting for a store that is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.errors import StoreUnavailable
from shared.telemetry import fields

log = logging.getLogger(__name__)

R = TypeVar("R")

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 2.0


async def patiently(call: Callable[[], Awaitable[R]]) -> R:
    """Repeat `call` until the store answers. Every try has the store's own deadline; cancel to give up."""
    wait_s = _FIRST_WAIT_S
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            log.warning("store_awaited", extra=fields(reason=str(error)))
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
