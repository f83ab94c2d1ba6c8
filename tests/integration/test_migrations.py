"""`nunmal migrate`: documents get this version's shape while others are written, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from infra.cli import run as nunmal
from infra.doctor import Verdict, examined
from infra.migrations.origin import ORIGIN
from infra.migrations.run import MIGRATIONS, RECORDS, pending, run
from shared.chat import Generation, GenerationState, Origin
from shared.settings import load_settings
from shared.store import Store
from tests.factories import LANE, generation

OLD = 47


async def written_before(store: Store, count: int = OLD) -> list[Generation]:
    """Turns as versions before /v1 wrote them."""
    turns = [generation(question=f"{number}번째 질문", lane="chat.old") for number in range(count)]
    for turn in turns:
        await store.generations.add(turn)
    await store._database["generations"].update_many({"lane": "chat.old"}, {"$unset": {"origin": ""}})
    return turns


async def documents(store: Store) -> dict[str, dict[str, Any]]:
    return {each["_id"]: each async for each in store._database["generations"].find({})}


@pytest.fixture
def environment(store: Store, store_url: str) -> dict[str, str]:
    return {"NUNMAL_STORE_URL": store_url, "NUNMAL_STORE_DATABASE": store._database.name}


async def test_old_documents_are_read_before_and_after_and_only_the_missing_field_changes(store: Store) -> None:
    turns = await written_before(store)
    before = await documents(store)
    read = [await store.generations.get(turn.id) for turn in turns]

    assert await run(store._database, ORIGIN, batch=10, rest_s=0) == OLD

    assert [await store.generations.get(turn.id) for turn in turns] == read
    assert await documents(store) == {name: each | {"origin": "page"} for name, each in before.items()}
    assert await pending(store._database) == []


async def test_documents_of_other_doors_are_left_alone(store: Store) -> None:
    asked = generation(origin=Origin.CHAT)
    await store.generations.add(asked)
    before = await documents(store)
    await written_before(store, 3)
    await run(store._database, ORIGIN, rest_s=0)
    assert (await documents(store))[asked.id] == before[asked.id]


async def test_questions_are_asked_and_answered_meanwhile(store: Store) -> None:
    await written_before(store)
    answered: list[str] = []
    is_over = False

    async def live() -> None:
        while not is_over:
            asked = generation(origin=Origin.CHAT)
            await store.generations.add(asked)
            claimed = await store.generations.claim(LANE, "w")
            assert claimed is not None
            await store.generations.finish(asked.id, claimed.attempt, GenerationState.DONE, [1], "답", None, 7, "stop")
            answered.append(asked.id)

    writing = asyncio.create_task(live())
    changed = await run(store._database, ORIGIN, batch=2, rest_s=0)
    is_over = True
    await writing

    assert changed == OLD and answered
    for generation_id in answered:
        found = await store.generations.get(generation_id)
        assert found is not None
        assert (found.state, found.answer, found.origin) == (GenerationState.DONE, "답", Origin.CHAT)


async def test_an_old_turn_that_is_claimed_between_finding_and_changing_keeps_its_claim(store: Store) -> None:
    await written_before(store, 1)
    claimed = await store.generations.claim("chat.old", "w")
    assert claimed is not None
    await run(store._database, ORIGIN, rest_s=0)
    assert await store.generations.finish(claimed.id, 1, GenerationState.DONE, [1], "답", None, 7, "stop")


async def test_an_interrupted_run_goes_on_where_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await written_before(store)
    steps = 0

    async def stop_at_third(_seconds: float) -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise asyncio.CancelledError

    with monkeypatch.context() as patched, pytest.raises(asyncio.CancelledError):
        patched.setattr("infra.migrations.run.asyncio.sleep", stop_at_third)
        await run(store._database, ORIGIN, batch=10)
    (record,) = await store._database[RECORDS].find({}).to_list(2)
    assert (record["_id"], record["changed"], record["ended_at"]) == (ORIGIN.name, 30, None)
    assert await pending(store._database) == [ORIGIN]

    assert await run(store._database, ORIGIN, batch=10, rest_s=0) == OLD - 30
    (record,) = await store._database[RECORDS].find({}).to_list(2)
    assert record["changed"] == OLD and record["ended_at"] >= record["begun_at"]


async def test_running_it_again_changes_nothing(store: Store) -> None:
    await written_before(store)
    await run(store._database, ORIGIN, rest_s=0)
    before = await documents(store)
    assert await run(store._database, ORIGIN, rest_s=0) == 0
    assert await documents(store) == before


async def test_the_command_tells_what_is_pending_and_then_does_it(
    store: Store, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await written_before(store, 3)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    async def told(*arguments: str) -> str:
        assert await asyncio.to_thread(nunmal, ["migrate", *arguments]) == 0
        return capsys.readouterr().out

    assert (await told("--list")).startswith(f"pending  {ORIGIN.name}")
    assert await told() == f"{ORIGIN.name}: 3 documents changed\n"
    assert (await told("--list")).startswith(f"done     {ORIGIN.name}")


async def test_doctor_tells_of_documents_of_an_older_shape(store: Store, environment: Mapping[str, str]) -> None:
    async def seen() -> Verdict:
        findings = await examined(load_settings(environment))
        return next(finding.verdict for finding in findings if finding.about == "documents")

    assert await seen() is Verdict.FINE
    await written_before(store, 1)
    assert await seen() is Verdict.NOTE


def test_every_migration_has_a_name_of_its_own() -> None:
    assert len({migration.name for migration in MIGRATIONS}) == len(MIGRATIONS)
