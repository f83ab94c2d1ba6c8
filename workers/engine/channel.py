"""Messages between a worker and its engine's process, over a socket pair: length, then a pickle.

Pickle is safe here because both ends are this program, started by the same person; nothing else can reach the pair.
"""

from __future__ import annotations

import pickle
import socket
import struct
import threading
from typing import Any

_LENGTH = struct.Struct("!Q")
LENGTH_BYTES = _LENGTH.size


def packed(message: object) -> bytes:
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


def length_of(header: bytes) -> int:
    """Of the body that follows these LENGTH_BYTES bytes."""
    return int(_LENGTH.unpack(header)[0])


def unpacked(body: bytes) -> Any:
    return pickle.loads(body)  # noqa: S301 - see above


class Channel:
    """A blocking end. `send` may be called by several threads."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._sending = threading.Lock()

    def send(self, message: object) -> None:
        """Raises OSError if the other end is gone."""
        data = packed(message)
        with self._sending:
            self.socket.sendall(data)

    def receive(self) -> Any:
        """Waits for a message. Raises EOFError if the other end is gone."""
        return unpacked(self._exactly(length_of(self._exactly(LENGTH_BYTES))))

    def is_over(self) -> bool:
        """Waits until there is something to receive, and leaves it there; True if the other end is gone instead."""
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionError as error:
                raise EOFError from error
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)
