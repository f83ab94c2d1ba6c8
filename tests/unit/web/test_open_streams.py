"""A person opens so many streams at a node, and closing one makes room."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from shared.errors import TooManyStreams
from web.chat.open_streams import MOST_STREAMS, OpenStreams


async def _events() -> AsyncGenerator[str, None]:
    yield "one"
    yield "two"


async def test_one_more_than_the_limit_is_refused_and_others_are_not() -> None:
    streams = OpenStreams()
    held = [await streams.opened("me", _events()) for _ in range(MOST_STREAMS)]

    with pytest.raises(TooManyStreams):
        await streams.opened("me", _events())
    assert [event async for event in await streams.opened("you", _events())] == ["one", "two"]

    await held[0].aclose()
    assert [event async for event in held[1]] == ["one", "two"]
    for _ in range(2):
        held.append(await streams.opened("me", _events()))
    with pytest.raises(TooManyStreams):
        await streams.opened("me", _events())
    for stream in held:
        await stream.aclose()
    assert not streams._open
