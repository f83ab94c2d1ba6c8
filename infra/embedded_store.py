"""The embedded MongoDB-wire store (nx-27017, SQLite underneath) as a child process: for one host and for tests.

The child ignores Ctrl-C and SIGTERM of the process group, so that the service can still write while it shuts
down, and is ended by us afterwards. It dies with us whatever happens. It listens on 127.0.0.1 without a
password: on a machine shared with people you do not trust, run a real MongoDB.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from shared.errors import ConfigError

_READY_S = 30.0


@contextlib.asynccontextmanager
async def embedded_store(directory: Path) -> AsyncIterator[str]:
    """Run the store on files in `directory` (which exists) while the block does; yields its URL.

    Raises ConfigError if the child does not start (its last words are in `directory`/nx-27017.log).
    """
    port = _free_port()
    with (directory / "nx-27017.log").open("ab") as log_file:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.embedded_store_process", str(directory), str(port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
        )
    try:
        await _wait_until_listening(child, port, directory)
        yield f"mongodb://127.0.0.1:{port}/"
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()  # every acknowledged write is on disk (SQLite's write-ahead log)
        await child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _wait_until_listening(child: asyncio.subprocess.Process, port: int, directory: Path) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READY_S):
            while child.returncode is None:
                with contextlib.suppress(OSError):
                    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)
    raise ConfigError(f"the embedded store did not start; see {directory / 'nx-27017.log'}")
