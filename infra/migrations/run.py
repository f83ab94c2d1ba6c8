"""`nunmal migrate [--list]`: changes documents to this version's shape, in small batches, beside a running service.

`migrations` keeps which were begun and ended, and how many documents each changed. Whether one is pending is not asked
there but of the documents: an older process that still runs may write the old shape again.
"""

from __future__ import annotations

import asyncio
import sys
import time
from importlib.metadata import version

from infra.home import with_database
from infra.migrations.migration import Migration
from infra.migrations.origin import ORIGIN
from shared.settings import Settings
from shared.store.connection import Database

MIGRATIONS: tuple[Migration, ...] = (ORIGIN,)  # in this order, the oldest first
RECORDS = "migrations"

_BATCH = 200  # documents
_REST_S = 0.05  # after each batch: people's questions go first


def migrate(settings: Settings, *, only_list: bool) -> None:
    """Print a line for each. Raises ConfigError, StoreUnavailable."""
    asyncio.run(with_database(settings, _show if only_list else run_all))


async def pending(database: Database) -> list[Migration]:
    return [migration for migration in MIGRATIONS if await migration.is_pending(database)]


async def run_all(database: Database) -> None:
    waiting = await pending(database)
    for migration in MIGRATIONS:
        changed = await run(database, migration) if migration in waiting else 0
        sys.stdout.write(f"{migration.name}: {changed} documents changed\n")


async def run(database: Database, migration: Migration, batch: int = _BATCH, rest_s: float = _REST_S) -> int:
    """Until no document of the old shape is left; an interrupted run goes on where it was. Returns how many it changed
    now; the record counts those of all runs."""
    records, changed = database[RECORDS], 0
    begun = {"begun_at": time.time(), "ended_at": None, "by": version("nunmal")}
    await records.update_one({"_id": migration.name}, {"$set": begun}, upsert=True)
    while count := await migration.step(database, batch):
        changed += count
        await records.update_one({"_id": migration.name}, {"$inc": {"changed": count}})
        await asyncio.sleep(rest_s)
    await records.update_one({"_id": migration.name}, {"$set": {"ended_at": time.time()}})
    return changed


async def _show(database: Database) -> None:
    waiting = await pending(database)
    for migration in MIGRATIONS:
        state = "pending" if migration in waiting else "done"
        sys.stdout.write(f"{state:<8} {migration.name}: {migration.why}\n")
