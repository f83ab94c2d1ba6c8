"""TCP ports for the servers that tests start."""

from __future__ import annotations

import os
import socket

_HELD: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """Ports of the loopback below the ephemeral range, so that no outgoing connection takes them meanwhile.

    They are the caller's until its process ends, whether anything listens there or not: the UDP port of the same
    number stays bound, and no other call takes a port without it. Raises RuntimeError if there are too few."""
    ports: list[int] = []
    for port in range(21_000 + os.getpid() % 9_000, 32_700):
        reservation = socket.socket(type=socket.SOCK_DGRAM)
        try:
            reservation.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        _HELD.append(reservation)
        ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError("no free ports")
