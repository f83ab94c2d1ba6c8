"""The gate on a real store, with workers that answer what the test says for each version."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.adapters.gate import GateItem
from shared.adapters.rollout import GateOutcome, GateRun
from shared.broker.memory import MemoryBroker
from shared.chat import Generation, JobClass
from shared.errors import AdapterBusy, AdapterVersionUnknown, GateLost, ReasonInvalid
from shared.gatekeeping import Gatekeeper
from shared.publishing import Publishing
from shared.store import Store
from tests.adapter_folders import BASE, write_adapter
from tests.factories import LANE
from tests.scripted_worker import ScriptedWorker, Unsayable
from tests.waiting import until

ITEMS = [GateItem(question=f"{number}?", choices=("네", "아니요"), answer="네") for number in range(12)]


class Hall:
    """A gate, and what each version answers."""

    def __init__(self, store: Store, broker: MemoryBroker) -> None:
        self.store = store
        self.publishing = Publishing(store, broker)
        self.gate = Gatekeeper(store, broker, self.publishing, LANE, ITEMS)
        self.says: dict[str | None, str] = {None: '"네"'}
        self.asked: list[Generation] = []

    async def say(self, asked: Generation) -> AsyncIterator[str]:
        self.asked.append(asked)
        if self.says[asked.adapter] == "fails":
            raise Unsayable
        yield self.says[asked.adapter]

    async def push(self, directory: Path, says: str, fill: float = 1.0) -> str:
        await self.store.adapters.describe_base(BASE)
        manifest = await self.publishing.push("wallpaper", write_adapter(directory, fill=fill), "me")
        self.says[manifest.version_id] = says
        return manifest.version_id

    async def run(self) -> GateRun:
        run = (await self.store.adapters.alias("wallpaper")).gate
        assert run is not None
        return run


@pytest.fixture
async def hall(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[Hall]:
    hall = Hall(store, memory_broker)
    yield hall
    await hall.gate.close()


def worker(hall: Hall, broker: MemoryBroker, *versions: str) -> ScriptedWorker:
    answering = ScriptedWorker(hall.store, broker, LANE, hall.say)
    answering.adapters = versions
    return answering


async def test_a_version_that_is_as_good_is_rolled_out(hall: Hall, memory_broker: MemoryBroker, tmp_path: Path) -> None:
    version = await hall.push(tmp_path, '"네"')

    async with worker(hall, memory_broker, version):
        alias = await hall.gate.activate(version, "me", 60.0)

    assert alias.rollout is not None
    assert alias.rollout.adapter == version
    run = await hall.run()
    assert (run.outcome, run.done, run.of) == (GateOutcome.PASSED, 24, 24)
    assert run.table is not None
    assert (run.table.against, run.table.difference) == (None, 0.0)
    assert {turn.job_class for turn in hall.asked} == {JobClass.BULK}
    assert all(json.loads(turn.sampling.json_schema or "") for turn in hall.asked)


@pytest.mark.parametrize("says", ['"아니요"', "fails"])
async def test_one_that_loses_is_refused_with_the_table(
    hall: Hall, memory_broker: MemoryBroker, tmp_path: Path, says: str
) -> None:
    version = await hall.push(tmp_path, says)

    async with worker(hall, memory_broker, version):
        with pytest.raises(GateLost, match=r"answers worse than the model alone: -100\.0 points"):
            await hall.gate.activate(version, "me")

    alias = await hall.store.adapters.alias("wallpaper")
    assert (alias.rollout, alias.active) == (None, None)
    run = await hall.run()
    assert run.outcome is GateOutcome.LOST
    assert run.table is not None
    assert run.table.rows[0].after == 0.0
    assert "adapter_activated" not in [record["action"] for record in await hall.store.audit.last(10)]


async def test_who_begins_it_does_not_wait(hall: Hall, memory_broker: MemoryBroker, tmp_path: Path) -> None:
    version = await hall.push(tmp_path, '"네"')

    alias = await hall.gate.begin(version, "me")
    assert alias.gate is not None
    assert alias.gate.outcome is GateOutcome.RUNNING
    with pytest.raises(AdapterBusy):
        await hall.gate.begin(version, "me")
    async with worker(hall, memory_broker, version):
        assert await until(lambda: _is_rolled_out(hall), 30)


async def _is_rolled_out(hall: Hall) -> bool:
    alias = await hall.store.adapters.alias("wallpaper")
    return alias.rollout is not None


async def test_an_operator_may_override_it_for_a_reason(hall: Hall, tmp_path: Path) -> None:
    version = await hall.push(tmp_path, "")

    with pytest.raises(ReasonInvalid):
        await hall.gate.override(version, "operator", "짧다")
    with pytest.raises(AdapterVersionUnknown):
        await hall.gate.override("wallpaper@000000000000", "operator", "급히 고쳐야 하는 잘못이 있어요")
    alias = await hall.gate.override(version, "operator", "급히 고쳐야 하는 잘못이 있어요")

    assert alias.rollout is not None
    run = await hall.run()
    assert (run.outcome, run.reason) == (GateOutcome.OVERRIDDEN, "급히 고쳐야 하는 잘못이 있어요")
    records = await hall.store.audit.last(10)
    assert [record["action"] for record in records][-2:] == ["gate_overridden", "adapter_activated"]
    assert run.reason not in str(records)


async def test_a_gate_that_ends_early_asks_nobody_any_more(hall: Hall, tmp_path: Path) -> None:
    version = await hall.push(tmp_path, "")
    await hall.gate.begin(version, "me")
    assert await until(lambda: _has_asked(hall), 30)

    await hall.gate.close()

    assert (await hall.run()).outcome is GateOutcome.FAILED
    assert await hall.store.generations.adapters_needed(LANE) == []


async def _has_asked(hall: Hall) -> bool:
    return len(await hall.store.generations.waiting_in(LANE, 100)) == 24
