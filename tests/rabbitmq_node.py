"""A private RabbitMQ node for the tests: its own name, ports, cookie and data directory; never 5672.

Uses an installed rabbitmq-server, else Docker. `infra/services.sh ensure` provides one of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.free_ports import free_ports

_READY_S = 90
_DOCKER_IMAGE = "rabbitmq:4"
_BINARIES = Path("/usr/lib/rabbitmq/bin")  # the wrapper in /usr/sbin switches the user; these do not


class RabbitNode(Protocol):
    """A running node. Its methods block until what they ask for is done."""

    @property
    def url(self) -> str: ...

    def control(self, *arguments: str) -> str:
        """`rabbitmqctl <arguments>` on this node; returns what it prints, raises CalledProcessError."""
        ...

    def stop(self, *, kill: bool = False) -> None:
        """In order, or with SIGKILL. Its data stays."""
        ...

    def start(self) -> None: ...


def set_policy(node: RabbitNode, name: str, pattern: str, **definition: int | str) -> None:
    """For the queues whose name matches `pattern`; keywords with _ for -, for example `max_length=3`."""
    rules = {key.replace("_", "-"): value for key, value in definition.items()}
    node.control("set_policy", name, pattern, json.dumps(rules), "--apply-to", "queues")


def clear_policy(node: RabbitNode, name: str) -> None:
    node.control("clear_policy", name)


def restart(node: RabbitNode, *, kill: bool = False) -> None:
    node.stop(kill=kill)
    node.start()


def close_all_connections(node: RabbitNode) -> None:
    """As an operator would; clients hear CONNECTION_FORCED."""
    node.control("close_all_connections", "closed by the test")


@contextlib.contextmanager
def rabbitmq_node(directory: Path) -> Iterator[RabbitNode]:
    """A node with its files in `directory`, stopped afterwards."""
    with rabbitmq_nodes(directory, 1) as (node,):
        yield node


@contextlib.contextmanager
def rabbitmq_nodes(directory: Path, count: int) -> Iterator[list[RabbitNode]]:
    """Several separate nodes with one cookie, stopped afterwards."""
    server = _BINARIES / "rabbitmq-server"
    binary = str(server) if server.exists() else shutil.which("rabbitmq-server")
    with contextlib.ExitStack() as stack:
        nodes: list[RabbitNode] = []
        if binary:
            epmd_port, *ports = free_ports(1 + 2 * count)
            stack.callback(_stop_epmd, epmd_port)
            for number in range(count):
                installed = _InstalledNode(
                    binary, directory, number, epmd_port, ports[2 * number], ports[2 * number + 1]
                )
                stack.callback(installed.stop)
                nodes.append(installed)
        elif shutil.which("docker"):
            for port in free_ports(count):
                container = _DockerNode(port)
                stack.callback(container.remove)
                nodes.append(container)
        else:
            pytest.exit("RabbitMQ is missing: run `infra/services.sh ensure`, or install rabbitmq-server or Docker", 1)
        for node in nodes:
            node.start()
        yield nodes


class _InstalledNode:
    """Implements RabbitNode with an installed rabbitmq-server."""

    def __init__(self, binary: str, home: Path, number: int, epmd_port: int, port: int, dist_port: int) -> None:
        self.url = f"amqp://guest:guest@127.0.0.1:{port}/"
        self.name = f"nunmal-test-{os.getpid()}-{number}@localhost"
        self._binary = binary
        self._port = port
        self._directory = home / f"node-{number}"
        self._directory.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),  # nodes of one home have one Erlang cookie
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(dist_port),
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(self._directory / "data"),
            "RABBITMQ_LOG_BASE": str(self._directory / "log"),
            "RABBITMQ_PID_FILE": str(self._directory / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +S 1:1",
            "RABBITMQ_CTL_ERL_ARGS": "+sbwt none +S 1:1",
        }

    def control(self, *arguments: str) -> str:
        beside = Path(self._binary).with_name("rabbitmqctl")
        command = [str(beside) if beside.exists() else "rabbitmqctl", "--node", self.name, "--quiet", *arguments]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=True, timeout=_READY_S
        ).stdout

    def start(self) -> None:
        log_path = self._directory / "server.log"
        with log_path.open("wb") as log_file:
            self._process = subprocess.Popen(
                [self._binary], env=self._environment, stdout=log_file, stderr=log_file, start_new_session=True
            )
        _wait_for_handshake(self._process, self._port, log_path)

    def stop(self, *, kill: bool = False) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL if kill else signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None


def _stop_epmd(port: int) -> None:
    """The port mapper that Erlang started for these nodes alone (it has a port of its own)."""
    epmd = shutil.which("epmd") or next(iter(Path("/usr/lib/erlang").glob("erts-*/bin/epmd")), None)
    if epmd:
        environment = {"PATH": os.environ["PATH"], "ERL_EPMD_PORT": str(port)}
        subprocess.run([str(epmd), "-kill"], env=environment, capture_output=True, check=False)


class _DockerNode:
    """Implements RabbitNode with a container."""

    def __init__(self, port: int) -> None:
        self.url = f"amqp://guest:guest@127.0.0.1:{port}/"
        self._port = port
        self._container = self._docker("create", "--publish", f"127.0.0.1:{port}:5672", _DOCKER_IMAGE).strip()

    def control(self, *arguments: str) -> str:
        return self._docker("exec", self._container, "rabbitmqctl", "--quiet", *arguments)

    def start(self) -> None:
        self._docker("start", self._container)
        _wait_for_handshake(None, self._port, None)

    def stop(self, *, kill: bool = False) -> None:
        self._docker("kill" if kill else "stop", self._container)

    def remove(self) -> None:
        self._docker("rm", "--force", "--volumes", self._container)

    def _docker(self, *arguments: str) -> str:
        docker = shutil.which("docker") or "docker"
        return subprocess.run([docker, *arguments], capture_output=True, text=True, check=True).stdout


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
