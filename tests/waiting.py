"""Waiting for other processes: they tell nobody what becomes of them, so they are asked until a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

R = TypeVar("R")

_ASK_EVERY_S = 0.1


async def until(look: Callable[[], Awaitable[R]], within_s: float) -> R | None:
    """The first true value of `look`, or None if there was none in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if found := await look():
            return found
        await asyncio.sleep(_ASK_EVERY_S)
    return None


async def is_listening(port: int) -> bool:
    """On this machine."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
