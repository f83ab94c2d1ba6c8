"""Test processes side by side start servers: none may be given a port that another was given."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from tests.free_ports import free_ports

_BESIDE = "import os; os.getpid = lambda: {pid}; from tests.free_ports import free_ports; print(*free_ports(3))"


def test_no_port_is_given_out_twice_though_nothing_listens_there_yet() -> None:
    first, second = free_ports(3), free_ports(3)
    assert len({*first, *second}) == 6


def test_a_process_that_looks_in_the_same_place_gets_other_ports() -> None:
    ours = free_ports(3)
    code = _BESIDE.format(pid=os.getpid())
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len({*ours, *map(int, theirs)}) == 6


def test_a_server_can_listen_on_a_port_that_was_given_out() -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port
