"""A process beside this one that runs one of our modules and is spoken to over its pipes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence

from shared.settings import environment_without_settings

_LONGEST_LINE = 64 << 10


async def start_module(module: str, longest_line: int = _LONGEST_LINE, arguments: Sequence[str] = ()) -> Process:
    """`longest_line`: bytes of one line that it writes. Ctrl-C does not reach it: who starts it ends it.

    Raises OSError."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        limit=longest_line,
        env=environment_without_settings(),
        start_new_session=True,
    )


async def end_process(process: Process) -> None:
    """At once; it may have ended already."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
