"""`nunmal backup` and `restore`: what comes back is what was there, byte for byte."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from infra.audit import verified
from infra.backup import load, save
from infra.cli import run
from shared.audit import AuditAction
from shared.chat import AccountRole, GenerationState
from shared.errors import ConfigError
from shared.ids import new_id
from shared.store import Store
from shared.store.connection import Database
from tests.factories import LANE, generation


@pytest.fixture
async def filled(store: Store) -> Store:
    """A little of everything: people, answers, pictures, sessions, records."""
    user = await store.users.create("jiu@example.com", "지우", b"hash", AccountRole.USER)
    turn = generation(user_id=user.id, question="각별한 이야기 🌿")
    await store.generations.add(turn)
    claimed = await store.generations.claim(LANE, "w")
    assert claimed is not None
    await store.generations.finish(turn.id, 1, GenerationState.DONE, [1, 2**40], "대답", None, 7, "stop")
    await store.pictures.add(user.id, bytes(range(256)), b"\x00small", mime="image/png", width=2, height=3, alt="")
    for number in range(3):
        await store.audit.append("test", AuditAction.KEY_MADE, new_id(), number=number)
    return store


@pytest.fixture
async def empty(store_url: str) -> AsyncIterator[Store]:
    async with Store(store_url, f"test_{new_id().replace('-', '')}") as store:
        yield store
        await store.drop()


async def _all(database: Database) -> dict[str, list[dict[str, Any]]]:
    names = [name for name in await database.list_collection_names() if not name.startswith("system.")]
    found = {name: await database[name].find({}).sort("_id", 1).to_list(None) for name in names}
    return {name: documents for name, documents in found.items() if documents}


async def test_what_comes_back_is_what_was_there(filled: Store, empty: Store, tmp_path: Path) -> None:
    before = await _all(filled._database)
    await save(filled._database, tmp_path / "backup")
    await load(empty._database, tmp_path / "backup")

    assert {"users", "generations", "pictures", "blobs", "audit"} <= set(before)
    assert await _all(empty._database) == before
    await verified(empty)


async def test_it_is_nobody_elses_to_read(filled: Store, tmp_path: Path) -> None:
    await save(filled._database, tmp_path / "backup")

    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "backup").glob("*.gz"))


async def test_it_is_readable_json(filled: Store, tmp_path: Path) -> None:
    await save(filled._database, tmp_path / "backup")
    with gzip.open(tmp_path / "backup" / "generations.jsonl.gz", "rt", encoding="utf-8") as lines:
        (turn,) = map(json.loads, lines)

    assert turn["question"] == "각별한 이야기 🌿"
    assert turn["token_ids"][1] == {"$numberLong": str(2**40)}


async def test_what_was_changed_is_not_restored(filled: Store, empty: Store, tmp_path: Path) -> None:
    await save(filled._database, tmp_path / "backup")
    (tmp_path / "backup" / "users.jsonl.gz").write_bytes(gzip.compress(b""))

    with pytest.raises(ConfigError, match=r"users\.jsonl\.gz is missing or is not what was written"):
        await load(empty._database, tmp_path / "backup")
    assert await _all(empty._database) == {}


async def test_a_database_in_use_is_not_written_over(filled: Store, tmp_path: Path) -> None:
    await save(filled._database, tmp_path / "backup")
    before = await _all(filled._database)

    with pytest.raises(ConfigError, match="is not empty: a backup is restored into an empty database"):
        await load(filled._database, tmp_path / "backup")
    assert await _all(filled._database) == before


async def test_a_directory_in_use_is_not_written_over(filled: Store, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        await save(filled._database, tmp_path)


def test_the_commands_say_in_one_line_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUNMAL_HOME", str(tmp_path))
    for command in ("backup", "restore"):
        assert run([command, str(tmp_path / "backup")]) == 2
        assert capsys.readouterr().err.startswith("nunmal: no Nunmal runs in")
