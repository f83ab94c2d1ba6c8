"""A worker that ends in order leaves a record; one that is killed does not."""

from __future__ import annotations

from infra.audit import verified
from tests.worker_house import LANE, House


async def test_a_worker_that_ends_is_recorded(house: House) -> None:
    async with house.worker() as worker:
        await worker.end()

    (record,) = await house.store.audit.last(10)
    assert record["action"] == "worker_drained"
    assert record["actor"] == f"worker:{record['target']}"
    assert record["facts"] == {"lane": LANE}
    assert (await verified(house.store)).number == 1


async def test_a_worker_that_is_killed_leaves_none(house: House) -> None:
    async with house.worker() as worker:
        await worker.kill()

    assert await house.store.audit.last(10) == []
