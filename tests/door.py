"""The door of docker-compose.yml: a real Caddy (infra/services.sh installs it) with the repository's Caddyfile."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from tests.free_ports import free_ports
from tests.service import ROOT

CADDYFILE = ROOT / "infra" / "caddy" / "Caddyfile"
_READY_WITHIN_S = 15.0


@contextlib.contextmanager
def running_door(directory: Path, nodes: Sequence[int]) -> Iterator[str]:
    """Its address, once it answers. `nodes`: ports of web nodes on this machine."""
    program = shutil.which("caddy")
    assert program is not None, "infra/services.sh ensure"
    (port,) = free_ports(1)
    environment = os.environ | {
        "DOOR_PORT": str(port),
        "WEB_NODES": " ".join(f"127.0.0.1:{node}" for node in nodes),
        "HOME": str(directory),
    }
    command = [program, "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    with (directory / "door.log").open("wb") as log, subprocess.Popen(command, env=environment, stderr=log) as door:
        try:
            address = f"http://127.0.0.1:{port}"
            end = time.monotonic() + _READY_WITHIN_S
            while not _answers(address):
                assert door.poll() is None and time.monotonic() < end, (directory / "door.log").read_text()
            yield address
        finally:
            door.terminate()
            door.wait(10)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/acceptz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
