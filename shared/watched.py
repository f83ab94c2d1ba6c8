"""What operators see of a process while it runs: its side door, and the traces it tells."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version

from shared.settings import Settings
from shared.side_door import Health, side_door
from shared.tracing import traced


@contextlib.asynccontextmanager
async def watched(settings: Settings, room: str, health: Health) -> AsyncIterator[None]:
    """Raises ConfigError if the port cannot be had, or OpenTelemetry is asked for and not there."""
    with traced(settings.traces_url, room, version("nunmal")):
        async with side_door(settings.metrics_host, settings.metrics_port, room, health):
            yield
