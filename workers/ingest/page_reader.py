"""The pages of one document, from a process that has no rights (parsing/process.py)."""

from __future__ import annotations

import asyncio
import json
import logging
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from typing import Any

from shared.child_process import end_process, start_module
from shared.document_errors import REFUSALS, DocumentBroken
from shared.documents import DocumentKind, WordBox
from shared.telemetry import fields
from workers.ingest.parsing.parsed import ParsedPage, Scan

log = logging.getLogger(__name__)

MODULE = "workers.ingest.parsing.process"

_LONGEST_LINE = 16 << 20  # a page of 60,000 letters, each a word, takes 5 MB


class PageReader:
    """`most_pages`: of one document. `within_s`: for its beginning, and then for each page."""

    def __init__(self, *, most_pages: int, within_s: float) -> None:
        self._most_pages = most_pages
        self._within_s = within_s

    async def read(
        self, data: bytes, kind: DocumentKind, first_page: int = 1
    ) -> AsyncGenerator[int | ParsedPage, None]:
        """First how many pages there are, then each from `first_page`. Close it (contextlib.aclosing).

        Raises DocumentError: DocumentBroken also when the process crashed or took too long.
        """
        process = await start_module(MODULE, _LONGEST_LINE)
        try:
            said = await self._within(_order(process, data, kind, first_page, self._most_pages))
            count = int(said["pages"])
            yield count
            for number in range(first_page, count + 1):
                page = await self._within(_page(process))
                if page.number != number:
                    raise DocumentBroken
                yield page
        finally:
            await end_process(process)

    async def _within(self, answer: Any) -> Any:
        try:
            async with asyncio.timeout(self._within_s):
                return await answer
        except (TimeoutError, OSError, ValueError, KeyError, asyncio.IncompleteReadError) as error:
            log.warning("document_parser_lost", extra=fields(reason=type(error).__name__))
            raise DocumentBroken from error


async def _order(process: Process, data: bytes, kind: DocumentKind, first_page: int, most_pages: int) -> dict[str, Any]:
    assert process.stdin is not None  # a pipe
    order = {"kind": str(kind), "first_page": first_page, "most_pages": most_pages, "length": len(data)}
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.write(data)
    await process.stdin.drain()
    return await _said(process)


async def _page(process: Process) -> ParsedPage:
    said = await _said(process)
    assert process.stdout is not None  # a pipe
    picture = await process.stdout.readexactly(said["picture"])
    words = tuple(WordBox(*word) for word in said["words"])
    scan = None
    if shape := said["scan"]:
        width, height = shape
        scan = Scan(width, height, await process.stdout.readexactly(width * height))
    return ParsedPage(said["page"], said["text"], words, picture, said["width"], said["height"], scan)


async def _said(process: Process) -> dict[str, Any]:
    """Raises the refusal, if it is one."""
    assert process.stdout is not None  # a pipe
    said: dict[str, Any] = json.loads(await process.stdout.readline())
    if "code" in said:
        raise REFUSALS[said["code"]]("", **said["facts"])
    return said
