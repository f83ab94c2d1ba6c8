"""Taking the port, before anything slow happens."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Iterator

from shared.errors import ConfigError

_BACKLOG = 2048


def allow_many_streams() -> None:
    """Every open stream is an open file: use as many as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound, listening, non-blocking socket. Raises ConfigError if the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"port {port} on {host} cannot be used ({reason}); choose another: make run PORT=8123"
            ) from error
        listener.setblocking(False)
        yield listener


def address_of(host: str, listener: socket.socket) -> str:
    """Where a person on this machine opens it."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104  # shown, not bound
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}"
