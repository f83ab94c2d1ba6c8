"""Pictures cleaned beside this node's work: a few processes, a deadline, and a bounded number that wait."""

from __future__ import annotations

import asyncio
import json
import logging
from asyncio.subprocess import Process
from collections import Counter
from typing import Any

from shared import errors
from shared.child_process import end_process, start_module
from shared.errors import InputError, PictureBroken, TooBusy
from shared.telemetry import fields
from web.pictures.clean import CleanPicture
from web.pictures.cleaning_process import LENGTH, QUESTION

log = logging.getLogger(__name__)

MODULE = "web.pictures.cleaning_process"

_AT_ONCE = 2  # each keeps a core busy
_MOST_WAITING = 64
_MOST_OF_ONE_PERSON = 16
_WITHIN_S = 20.0  # 50 megapixels of HEIC take 3 s on a slow core; the first picture also waits for its process
_RETRY_S = 2.0


class Cleaner:
    """`most_pixels`: of a file's own picture. `longest_side`: of what becomes of it."""

    def __init__(self, *, most_pixels: int, longest_side: int, within_s: float = _WITHIN_S) -> None:
        self._most_pixels = most_pixels
        self._longest_side = longest_side
        self._within_s = within_s
        self._idle: list[Process] = []
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._waiting: Counter[str] = Counter()  # by who sent them

    async def clean(self, sender: str, data: bytes) -> CleanPicture:
        """Raises what web.pictures.clean.clean raises, PictureBroken also when it crashed or took too long; TooBusy."""
        if self._waiting.total() >= _MOST_WAITING or self._waiting[sender] >= _MOST_OF_ONE_PERSON:
            raise TooBusy(retry_after_s=_RETRY_S)
        self._waiting[sender] += 1
        try:
            async with self._room:
                return await self._ask(data)
        finally:
            self._waiting[sender] -= 1
            self._waiting += Counter()  # drops who has none

    async def close(self) -> None:
        """End the processes; none may be at work."""
        while self._idle:
            await end_process(self._idle.pop())

    async def _ask(self, data: bytes) -> CleanPicture:
        process = self._idle.pop() if self._idle else await start_module(MODULE)
        try:
            async with asyncio.timeout(self._within_s):
                answer = await _answer(process, data, self._most_pixels, self._longest_side)
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            log.warning("picture_decoder_lost", extra=fields(reason=type(error).__name__))
            await end_process(process)
            raise PictureBroken from error
        except BaseException:  # cancelled in the middle: what it says next would be taken for another's
            await end_process(process)
            raise
        self._idle.append(process)
        if isinstance(answer, InputError):
            raise answer
        return answer


async def _answer(process: Process, data: bytes, most_pixels: int, longest_side: int) -> CleanPicture | InputError:
    assert process.stdin is not None and process.stdout is not None  # both are pipes
    process.stdin.write(QUESTION.pack(most_pixels, longest_side, len(data)))
    process.stdin.write(data)
    await process.stdin.drain()
    (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    said: dict[str, Any] = json.loads(await process.stdout.readexactly(length))
    if "code" in said:
        return _REFUSALS[said["code"]]("", **said["facts"])
    picture, thumbnail = [await process.stdout.readexactly(size) for size in said["lengths"]]
    return CleanPicture(picture, said["mime"], said["width"], said["height"], thumbnail)


_REFUSALS: dict[str, type[InputError]] = {
    kind.code: kind
    for kind in (
        errors.PictureEmpty,
        errors.PictureKindUnknown,
        errors.PictureTooManyPixels,
        errors.PictureAnimated,
        errors.PictureColoursUnknown,
        errors.PictureBroken,
    )
}
