"""A store, a broker and a worker with the model that settings name, for measurements of what it says."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from infra.embedded_store import embedded_store
from shared.broker.memory import MemoryBroker
from shared.settings import Settings
from shared.store import Store
from workers.serve import serve_worker

READY_S = 300.0


@contextlib.asynccontextmanager
async def model_house(settings: Settings) -> AsyncIterator[tuple[Store, MemoryBroker]]:
    """With a worker that answers."""
    ready, stop = asyncio.Event(), asyncio.Event()
    with tempfile.TemporaryDirectory() as directory:
        async with (
            embedded_store(Path(directory)) as url,
            Store(url, "bench") as store,
            MemoryBroker() as broker,
            asyncio.TaskGroup() as tasks,
        ):
            serving = tasks.create_task(serve_worker(settings, broker, store, ready=ready, stop=stop))
            async with asyncio.timeout(READY_S):
                await ready.wait()
            try:
                yield store, broker
            finally:
                stop.set()
                await asyncio.wait([serving])
