"""`nunmal backup|restore DIR`: the whole store as files, one per collection, and back into an empty database.

Lines of canonical extended JSON, compressed, with a manifest that counts and hashes them: whatever reads JSON reads a
backup. It may be made while the service runs: every document is whole, and documents are related by ids that are
written first (a question before its answer, a blob before its picture), but it is no single moment; what is asked
meanwhile may be missing. Restore before anything is started. The store's account needs to read everything, or to write.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bson import json_util

from infra.home import store_address, with_database
from shared.errors import ConfigError
from shared.settings import Settings
from shared.store import Store
from shared.store.connection import Database

_MANIFEST = "manifest.json"
_AT_ONCE = 200  # documents
_FORMAT = 1


def backup(settings: Settings, directory: Path) -> None:
    """Write into `directory`, which is made and must be empty. Raises ConfigError, StoreUnavailable."""
    asyncio.run(with_database(settings, lambda database: save(database, directory)))


def restore(settings: Settings, directory: Path) -> None:
    """Raises ConfigError for a damaged backup or a database that is not empty, StoreUnavailable."""
    asyncio.run(_restore(settings, directory))


async def save(database: Database, directory: Path) -> None:
    """Into a directory of its own. Raises ConfigError if something is in it."""
    _make(directory)
    collections: dict[str, dict[str, Any]] = {}
    for name in sorted(await database.list_collection_names()):
        if name.startswith("system."):
            continue
        count = await _save_one(database, name, directory / f"{name}.jsonl.gz")
        collections[name] = {"documents": count, "sha256": _sha256(directory / f"{name}.jsonl.gz")}
        sys.stdout.write(f"{name}: {count}\n")
    manifest = {
        "format": _FORMAT,
        "nunmal": version("nunmal"),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "collections": collections,
    }
    (directory / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


async def load(database: Database, directory: Path) -> None:
    """Checks everything before it writes anything. Raises ConfigError."""
    manifest = _checked(directory)
    for name in manifest["collections"]:
        if await database[name].find_one({}, {"_id": 1}) is not None:
            raise ConfigError(f"the collection {name} is not empty: a backup is restored into an empty database")
    for name, kept in manifest["collections"].items():
        for lines in _batches(directory / f"{name}.jsonl.gz"):
            await database[name].insert_many([json_util.loads(line) for line in lines])
        sys.stdout.write(f"{name}: {kept['documents']}\n")


async def _restore(settings: Settings, directory: Path) -> None:
    await with_database(settings, lambda database: load(database, directory))
    async with Store(store_address(settings), settings.store_database):
        pass  # it makes the indexes


async def _save_one(database: Database, name: str, path: Path) -> int:
    count = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # people's words are in it
    with os.fdopen(descriptor, "wb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
        async for document in _documents(database, name):
            packed.write(json_util.dumps(document, json_options=json_util.CANONICAL_JSON_OPTIONS).encode() + b"\n")
            count += 1
    return count


async def _documents(database: Database, name: str) -> AsyncIterator[dict[str, Any]]:
    async for document in database[name].find({}).sort("_id", 1).batch_size(_AT_ONCE):
        yield document


def _checked(directory: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{directory} is no backup: its {_MANIFEST} cannot be read") from error
    if manifest.get("format") != _FORMAT:
        raise ConfigError(f"{directory} is of another format ({manifest.get('format')})")
    for name, kept in manifest["collections"].items():
        path = directory / f"{name}.jsonl.gz"
        if not path.is_file() or _sha256(path) != kept["sha256"]:
            raise ConfigError(f"{path} is missing or is not what was written")
    return manifest


def _make(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty")


def _batches(path: Path) -> Iterator[list[bytes]]:
    with gzip.open(path, "rb") as lines:
        while some := list(itertools.islice(lines, _AT_ONCE)):
            yield some


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
