"""Texts to stems or morphemes, in a process beside this one that begins with the first and ends with the node."""

from __future__ import annotations

import asyncio
import json
import logging
from asyncio.subprocess import Process
from collections.abc import Sequence
from typing import Any

from shared.child_process import end_process, start_module
from shared.organising_errors import SearchUnavailable
from shared.telemetry import fields
from shared.text.morphemes import Morpheme, Stem

log = logging.getLogger(__name__)

MODULE = "shared.text.analysing_process"
MOST_CHARACTERS = 20_000  # of one text that are looked at; they take a fifth of a second

_WITHIN_S = 30.0  # the first text waits for the dictionary, on a busy machine 10 s
_LONGEST_LINE = 64 << 20


class Analyser:
    def __init__(self, within_s: float = _WITHIN_S) -> None:
        self._within_s = within_s
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def stems(self, texts: Sequence[str]) -> list[list[Stem]]:
        """Of the beginning of each text. Raises SearchUnavailable when it crashed or took too long."""
        return [[Stem(*stem) for stem in found] for found in await self._analysed("stems", texts)]

    async def morphemes(self, texts: Sequence[str]) -> list[list[Morpheme]]:
        """As `stems`."""
        return [[Morpheme(*each) for each in found] for found in await self._analysed("morphemes", texts)]

    async def _analysed(self, what: str, texts: Sequence[str]) -> list[list[Any]]:
        if not texts:
            return []
        line = json.dumps([what, [text[:MOST_CHARACTERS] for text in texts]]).encode() + b"\n"
        async with self._turn:
            try:
                async with asyncio.timeout(self._within_s):
                    said: list[list[Any]] = json.loads(await self._ask(line))
            except (TimeoutError, OSError, ValueError) as error:
                log.warning("analyser_lost", extra=fields(reason=type(error).__name__))
                await self.close()
                raise SearchUnavailable from error
            except BaseException:  # cancelled in the middle: what it says next would be taken for another's
                await self.close()
                raise
        return said

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await end_process(process)

    async def _ask(self, line: bytes) -> bytes:
        if self._process is None:
            self._process = await start_module(MODULE, _LONGEST_LINE)
        process = self._process
        assert process.stdin is not None and process.stdout is not None  # both are pipes
        process.stdin.write(line)
        await process.stdin.drain()
        return await process.stdout.readline()  # nothing, which is no JSON, if it has ended
