"""What every long-running command does alike: speak to its operator, end on signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading

from shared.errors import ConfigError
from shared.settings import PREFIX, Settings

_SHUTDOWN_S = 4.5  # after a signal and what it may drain; then the process ends itself, whatever still runs


def say(sentence: str) -> None:
    """One line for the operator, on standard error."""
    sys.stderr.write(f"nunmal: {sentence}\n")
    sys.stderr.flush()


def announce_ready(what: str, address: str | None = None) -> None:
    """The one line on standard output, which scripts wait for."""
    sys.stdout.write(f"{what} is ready{f': {address}' if address else ''}\n")
    sys.stdout.flush()


def stop_on_signals(stop: asyncio.Event, drain_s: float = 0.0, *, ends_on_second: bool = True) -> None:
    """Ctrl-C and SIGTERM set `stop`; a second one, or `drain_s` + 4.5 s, ends the process at once.

    `ends_on_second`: False for the child of a supervisor, which may get each signal twice: from it and with its group.
    """

    def on_signal() -> None:
        if stop.is_set():
            if ends_on_second:
                os._exit(1)
            return
        stop.set()
        end_within(drain_s + _SHUTDOWN_S)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)


def stop_with_supervisor(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """Set both events when standard input ends, which a supervisor holds open as long as it lives: 4.5 s are left."""
    loop = asyncio.get_running_loop()

    def on_end() -> None:
        hurry.set()
        stop.set()

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        end_within(_SHUTDOWN_S)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends anyway
            loop.call_soon_threadsafe(on_end)

    threading.Thread(target=watch, name="watch-supervisor", daemon=True).start()


def end_within(seconds: float) -> None:
    """End the process after this time, whatever still runs."""
    overdue = threading.Timer(seconds, os._exit, (1,))
    overdue.daemon = True
    overdue.start()


def require(settings: Settings, command: str, *names: str) -> None:
    """Raises ConfigError for the first of these settings that is not set."""
    for name in names:
        if getattr(settings, name) is None:
            raise ConfigError(f"{PREFIX}{name.upper()} is needed by `nunmal {command}` (see .env.example)")


async def first_of(*events: asyncio.Event) -> asyncio.Event:
    """Waits; returns the event that is set first."""
    waiting = {asyncio.create_task(event.wait()): event for event in events}
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    return waiting[done.pop()]
