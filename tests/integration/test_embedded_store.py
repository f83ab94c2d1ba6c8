"""The embedded store as a child process: it comes back after being killed, and writes down nothing people say."""

from __future__ import annotations

from pathlib import Path

from infra.embedded_store import embedded_store
from shared.store import Store
from tests.factories import generation


async def test_acknowledged_writes_survive_a_kill_and_a_stale_pid_file(tmp_path: Path) -> None:
    asked = generation(question="잃어버리면 안 되는 질문")
    async with embedded_store(tmp_path) as url, Store(url, "test") as store:
        await store.generations.add(asked)  # leaving the block kills the child
    (tmp_path / "nx-27017.pid").write_text("1")

    async with embedded_store(tmp_path) as url, Store(url, "test") as store:
        found = await store.generations.get(asked.id)

    assert found is not None
    assert found.question == asked.question


async def test_what_people_write_is_not_in_its_log(tmp_path: Path) -> None:
    async with embedded_store(tmp_path) as url, Store(url, "test") as store:
        asked = generation(question="아무에게도 말하지 마")
        await store.generations.add(asked)
        await store.generations.get(asked.id)

    log = (tmp_path / "nx-27017.log").read_text(encoding="utf-8")
    assert "아무에게도" not in log
    assert asked.id not in log
