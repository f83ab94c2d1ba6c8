"""A process beside this one that runs one of our modules and is spoken to over its pipes."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence

from shared.settings import environment_without_settings

_LONGEST_LINE = 64 << 10


def open_module(module: str, arguments: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """As `start_module`, for threads. Raises OSError."""
    return subprocess.Popen(  # noqa: S603  our own interpreter and module
        _command(module, arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment_without_settings(),
        start_new_session=True,
    )


async def start_module(module: str, longest_line: int = _LONGEST_LINE, arguments: Sequence[str] = ()) -> Process:
    """`longest_line`: bytes of one line that it writes. Ctrl-C does not reach it: who starts it ends it.

    Raises OSError."""
    return await asyncio.create_subprocess_exec(
        *_command(module, arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        limit=longest_line,
        env=environment_without_settings(),
        start_new_session=True,
    )


def _command(module: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


async def end_process(process: Process) -> None:
    """At once; it may have ended already."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
