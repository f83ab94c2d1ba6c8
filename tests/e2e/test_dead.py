"""`nunmal dead` beside a running service, with and without RabbitMQ."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from shared.broker.base import Broker
from shared.chat import Generation, GenerationState
from shared.dead_letters import UNREADABLE, DeadLetters
from shared.errors import NotFound, TooManyAttempts
from shared.store import Store
from tests.factories import LANE, generation
from tests.service import ROOT, Process

pytestmark = pytest.mark.timeout(120)


async def _failed(store: Store) -> Generation:
    asked = generation()
    await store.generations.add(asked)
    claimed = await store.generations.claim(LANE, "w")
    assert claimed is not None
    await store.generations.finish(asked.id, 1, GenerationState.FAILED, [], "", TooManyAttempts(attempts=3))
    return asked


async def _state(store: Store, asked: Generation) -> GenerationState:
    found = await store.generations.get(asked.id)
    assert found is not None
    return found.state


async def test_what_failed_is_listed_without_anybodys_words(store: Store, memory_broker: Broker) -> None:
    asked = await _failed(store)

    (dead,) = await DeadLetters(store, memory_broker).all()

    assert (dead.id, dead.reason, dead.lane, dead.attempts) == (asked.id, "too_many_attempts", LANE, 1)
    assert asked.question not in str(dead)


async def test_replay_lets_it_wait_again_once(store: Store, memory_broker: Broker) -> None:
    asked = await _failed(store)
    letters = DeadLetters(store, memory_broker)

    await letters.replay(asked.id, "test")

    assert await _state(store, asked) is GenerationState.QUEUED
    assert await letters.all() == []
    with pytest.raises(NotFound):
        await letters.replay(asked.id, "test")
    claimed = await store.generations.claim(LANE, "w", suspects=False)
    assert claimed is not None
    assert (claimed.id, claimed.attempt, claimed.error_code) == (asked.id, 2, None)


async def test_drop_leaves_it_failed(store: Store, memory_broker: Broker) -> None:
    asked = await _failed(store)
    letters = DeadLetters(store, memory_broker)

    await letters.drop(asked.id, "test")

    assert await _state(store, asked) is GenerationState.FAILED
    assert await letters.all() == []
    for name in (asked.id, UNREADABLE):
        with pytest.raises(NotFound):
            await letters.drop(name, "test")


def _nunmal(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("nunmal")), *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NUNMAL_HOME": str(home)},
        capture_output=True,
        text=True,
    )


def test_commands_find_the_running_service_by_its_home(tmp_path: Path) -> None:
    with Process("up", "--port", "0", NUNMAL_HOME=str(tmp_path)) as process:
        process.wait_ready()
        asked = asyncio.run(_with_store(tmp_path))
        listed = _nunmal("dead", "list", home=tmp_path)
        replayed = _nunmal("dead", "replay", asked.id, home=tmp_path)
        again = _nunmal("dead", "replay", asked.id, home=tmp_path)

    assert listed.stdout.split()[0] == asked.id
    assert (replayed.returncode, replayed.stdout, replayed.stderr) == (0, f"{asked.id}\n", "")
    assert again.returncode == 1
    assert again.stderr == f"nunmal: {asked.id} is not among the dead\n"


async def _with_store(home: Path) -> Generation:
    async with Store((home / "store_url").read_text(), "nunmal") as store:
        return await _failed(store)


def test_without_a_service_one_line_says_so(tmp_path: Path) -> None:
    found = _nunmal("dead", "list", home=tmp_path)

    assert found.returncode == 2
    assert found.stderr.startswith(f"nunmal: no Nunmal runs in NUNMAL_HOME={tmp_path}")


@pytest.mark.parametrize("arguments", [("replay",), ("drop",), ("replay", "one", "--all"), ("bury", "one")])
def test_replay_and_drop_want_ids_or_all(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert _nunmal("dead", *arguments, home=tmp_path).returncode == 2
