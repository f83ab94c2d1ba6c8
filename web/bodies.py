"""Bodies of requests that may be large, because pictures are in them: where, how large, and how many at once.

A large body waits at its sender's until somebody asks for it here: until its route knows who sends it, and there is
room. Others are received as they come, and have an end soon (MAX_CONTENT_LENGTH).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import Any

from quart import Request
from quart.wrappers.request import Body

from shared.errors import TooBusy

_MOST_BYTES = 256 << 20  # of all of them at once; they take a few times as much while they are read
_OF_ONE_PERSON = 6  # a page sends up to four at once
_RETRY_S = 2.0


class HeldBody(Body):
    """Not received before somebody waits for it."""

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, max_content_length)
        self._on_wanted: list[Callable[[], None]] = []
        self.is_wanted = False

    def on_wanted(self, call: Callable[[], None]) -> None:
        """Call it then, or now."""
        if self.is_wanted:
            call()
        else:
            self._on_wanted.append(call)

    def __await__(self) -> Generator[Any, None, Any]:
        self.is_wanted = True
        for call in self._on_wanted:
            call()
        self._on_wanted.clear()
        return (yield from super().__await__())


class LargeBodies:
    """Belongs to one app. `most_bytes`: of a body by path and content type; None: no more than of any other."""

    def __init__(self, most_bytes: Callable[[str, str], int | None]) -> None:
        self._most_bytes = most_bytes
        self._reading: Counter[str] = Counter()  # by who sent them
        self._bytes = 0

    def hold(self, request: Request, usual_bytes: int) -> None:
        """Before anything of the request is received."""
        length = request.content_length
        most = self._most_bytes(request.path, request.mimetype) if request.method == "POST" else None
        if length is not None and most is not None and usual_bytes < length:
            request.body = HeldBody(length, most)

    @contextlib.contextmanager
    def reading(self, request: Request, sender: str) -> Iterator[None]:
        """Read the body in here, and use it up. Raises TooBusy."""
        if not isinstance(request.body, HeldBody):
            yield
            return
        length = request.content_length or 0
        if self._bytes + length > _MOST_BYTES or self._reading[sender] >= _OF_ONE_PERSON:
            raise TooBusy(retry_after_s=_RETRY_S)
        self._reading[sender] += 1
        self._bytes += length
        try:
            yield
        finally:
            self._bytes -= length
            self._reading[sender] -= 1
            self._reading += Counter()  # drops who has none
