"""What every long-running command does alike: speak to its operator, end on signals, open its metrics port."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading

from shared.errors import ConfigError
from shared.settings import PREFIX, Settings
from shared.telemetry import start_metrics

_SHUTDOWN_S = 4.5  # after a signal; then the process ends itself, whatever still runs


def say(sentence: str) -> None:
    """One line for the operator, on standard error."""
    sys.stderr.write(f"nunmal: {sentence}\n")
    sys.stderr.flush()


def announce_ready(what: str, address: str | None = None) -> None:
    """The one line on standard output, which scripts wait for."""
    sys.stdout.write(f"{what} is ready{f': {address}' if address else ''}\n")
    sys.stdout.flush()


def stop_on_signals(stop: asyncio.Event) -> None:
    """Ctrl-C and SIGTERM set `stop`; a second one, or 4.5 s, ends the process at once."""

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()
        overdue = threading.Timer(_SHUTDOWN_S, os._exit, (1,))
        overdue.daemon = True
        overdue.start()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)


def open_metrics(port: int) -> None:
    """Serve /metrics and say where. Raises ConfigError if the port cannot be had."""
    try:
        chosen = start_metrics(port)
    except OSError as error:
        raise ConfigError(f"{PREFIX}METRICS_PORT={port} cannot be used ({error.strerror})") from error
    say(f"metrics are at http://127.0.0.1:{chosen}/metrics")


def require(settings: Settings, command: str, *names: str) -> None:
    """Raises ConfigError for the first of these settings that is not set."""
    for name in names:
        if getattr(settings, name) is None:
            raise ConfigError(f"{PREFIX}{name.upper()} is needed by `nunmal {command}` (see .env.example)")
