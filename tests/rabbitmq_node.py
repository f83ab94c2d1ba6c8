"""A private RabbitMQ node for the tests: its own name, ports, cookie and data directory; never 5672.

Uses an installed rabbitmq-server, else Docker. `infra/services.sh ensure` provides one of them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_READY_S = 90
_DOCKER_IMAGE = "rabbitmq:4"
_BINARIES = Path("/usr/lib/rabbitmq/bin")  # the wrapper in /usr/sbin switches the user; these do not


@contextlib.contextmanager
def rabbitmq_node(directory: Path) -> Iterator[str]:
    """A node with its files in `directory`; yields its URL and stops it afterwards."""
    server = _BINARIES / "rabbitmq-server"
    binary = str(server) if server.exists() else shutil.which("rabbitmq-server")
    if binary:
        with _installed_node(binary, directory) as url:
            yield url
    elif shutil.which("docker"):
        with _docker_node() as url:
            yield url
    else:
        pytest.exit("RabbitMQ is missing: run `infra/services.sh ensure`, or install rabbitmq-server or Docker", 1)


@contextlib.contextmanager
def _installed_node(binary: str, directory: Path) -> Iterator[str]:
    port, distribution_port, epmd_port = _free_ports(3)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "RABBITMQ_NODENAME": f"nunmal-test-{os.getpid()}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution_port),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": str(directory / "data"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_PID_FILE": str(directory / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +S 1:1",
    }
    with (directory / "server.log").open("wb") as log_file:
        node = subprocess.Popen([binary], env=environment, stdout=log_file, stderr=log_file, start_new_session=True)
    try:
        _wait_for_handshake(node, port, directory / "server.log")
        yield f"amqp://guest:guest@127.0.0.1:{port}/"
    finally:
        os.killpg(node.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            node.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()
        _stop_epmd(binary, environment)


def _stop_epmd(binary: str, environment: dict[str, str]) -> None:
    """The port mapper that Erlang started for this node alone (it has a port of its own)."""
    epmd = shutil.which("epmd") or next(iter(Path("/usr/lib/erlang").glob("erts-*/bin/epmd")), None)
    if epmd:
        subprocess.run([str(epmd), "-kill"], env=environment, capture_output=True, check=False)


@contextlib.contextmanager
def _docker_node() -> Iterator[str]:
    (port,) = _free_ports(1)
    docker = shutil.which("docker") or "docker"
    command = [docker, "run", "--rm", "--detach", "--publish", f"127.0.0.1:{port}:5672", _DOCKER_IMAGE]
    container = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        _wait_for_handshake(None, port, None)
        yield f"amqp://guest:guest@127.0.0.1:{port}/"
    finally:
        subprocess.run([docker, "kill", container], capture_output=True, check=False)


def _free_ports(count: int) -> list[int]:
    """Ports below the ephemeral range, so that no outgoing connection takes them meanwhile."""
    ports: list[int] = []
    for port in range(21_000 + os.getpid() % 9_000, 32_700):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError("no free ports")


def _wait_for_handshake(node: subprocess.Popen[bytes] | None, port: int, log_file: Path | None) -> None:
    """Until the node answers the AMQP header: its port opens before it serves."""
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and (node is None or node.poll() is None):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(2)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            if connection.recv(1) == b"\x01":
                return
        threading.Event().wait(0.1)  # a foreign process tells nobody when it is ready
    tail = log_file.read_text(errors="replace")[-2000:] if log_file else ""
    raise RuntimeError(f"RabbitMQ did not start:\n{tail}")
