"""`transformers serve` with one model, a process that ends with the block."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.free_ports import free_ports
from tests.service import ROOT
from tests.waiting import is_listening, until

_READY_WITHIN_S = 180


class NotServing(Exception):
    """The message names its log."""


@dataclass(frozen=True, slots=True)
class TransformersServe:
    address: str
    group: int  # of its processes


@contextlib.asynccontextmanager
async def transformers_serve(python: Path, model: str, log: Path, *options: str) -> AsyncIterator[TransformersServe]:
    """In float32 on the CPU with one thread. Raises NotServing."""
    (port,) = free_ports(1)
    command = [str(python), "-m", "transformers.cli.transformers", "serve", model, "--host", "127.0.0.1"]
    with log.open("w") as said:
        process = await asyncio.create_subprocess_exec(
            *command,
            *("--port", str(port), "--device", "cpu", "--dtype", "float32", *options),
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )

    async def has_begun_or_ended() -> bool:
        return process.returncode is not None or await is_listening(port)

    try:
        await until(has_begun_or_ended, _READY_WITHIN_S)
        if process.returncode is not None or not await is_listening(port):
            raise NotServing(f"transformers serve did not start: see {log}")
        yield TransformersServe(f"http://127.0.0.1:{port}", process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
