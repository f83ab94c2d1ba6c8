"""The promise of shared/store/audit.py: one chain whoever writes, and no way to mend it quietly."""

from __future__ import annotations

import asyncio

import pytest

from infra.audit import verified
from shared.audit import AuditAction, Head
from shared.errors import AuditBroken
from shared.store import Store


async def _append(store: Store, count: int = 1) -> Head:
    for number in range(count):
        head = await store.audit.append("command:root", AuditAction.KEY_MADE, f"key-{number}", scopes="chat", days=30)
    return head


async def test_nothing_recorded_is_an_unbroken_chain(store: Store) -> None:
    assert await verified(store) == Head(0, "0" * 64)


async def test_records_come_back_as_they_were_written(store: Store) -> None:
    await _append(store, 2)
    head = await store.audit.append("u", AuditAction.ACCESS_GRANTED, "owner", grant="g", minutes=15)

    before, last = await store.audit.last(2)

    assert (last["_id"], last["actor"], last["action"], last["target"]) == (3, "u", "access_granted", "owner")
    assert last["facts"] == {"grant": "g", "minutes": 15}
    assert last["previous"] == before["hash"]
    assert await verified(store) == head == Head(3, last["hash"])


async def test_only_actions_of_the_list_are_recorded(store: Store) -> None:
    with pytest.raises(ValueError, match="whatever"):
        await store.audit.append("u", "whatever", "t")  # type: ignore[arg-type]  # that is the point


async def test_many_writers_make_one_chain(store: Store, store_url: str) -> None:
    async with Store(store_url, store._database.name) as other:
        await asyncio.gather(*(_append(one, 5) for one in (store, other) for _ in range(4)))

    head = await verified(store)
    assert head.number == 40
    assert await store.audit.head() == head


async def test_a_writer_that_died_before_moving_the_head_breaks_nothing(store: Store) -> None:
    await _append(store, 2)
    lagging = await store.audit.head()
    await _append(store)
    assert lagging is not None
    await store.audit._heads.update_one({"_id": "head"}, {"$set": {"number": 2, "hash": lagging.hash}})

    assert (await verified(store)).number == 3
    await _append(store)
    assert (await verified(store)).number == 4


@pytest.mark.parametrize("number", [1, 3, 6])
async def test_a_changed_record_is_found(store: Store, number: int) -> None:
    await _append(store, 6)
    await store.audit._records.update_one({"_id": number}, {"$set": {"target": "another"}})

    with pytest.raises(AuditBroken, match=f"at record {number}: is not what was written"):
        await verified(store)


async def test_a_deleted_record_is_found(store: Store) -> None:
    await _append(store, 6)
    await store.audit._records.delete_one({"_id": 4})

    with pytest.raises(AuditBroken, match="at record 4: missing"):
        await verified(store)


async def test_reordered_records_are_found(store: Store) -> None:
    await _append(store, 6)
    third, fourth = (await store.audit.last(6))[2:4]
    await store.audit._records.replace_one({"_id": 3}, {**fourth, "_id": 3})
    await store.audit._records.replace_one({"_id": 4}, {**third, "_id": 4})

    with pytest.raises(AuditBroken, match="at record 3"):
        await verified(store)


async def test_a_cut_end_is_found_and_stays_found(store: Store) -> None:
    await _append(store, 6)
    await store.audit._records.delete_many({"_id": {"$gt": 3}})
    with pytest.raises(AuditBroken, match="at record 4: missing; the head says that there were 6"):
        await verified(store)

    await _append(store, 8)

    with pytest.raises(AuditBroken, match="at record 4: missing; the next one there is 7"):
        await verified(store)


async def test_a_head_that_was_removed_stays_missing(store: Store) -> None:
    await _append(store, 3)
    await store.audit._heads.delete_many({})

    await _append(store)

    with pytest.raises(AuditBroken, match="the head is missing"):
        await verified(store)


async def test_removing_everything_is_found_with_a_noted_head_only(store: Store) -> None:
    noted = (await _append(store, 3)).hash
    await store.audit._records.delete_many({})
    await store.audit._heads.delete_many({})
    await _append(store, 5)

    assert (await verified(store)).number == 5
    with pytest.raises(AuditBroken, match="noted head"):
        await verified(store, noted)


async def test_more_records_than_are_read_at_once_are_walked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.audit._AT_ONCE", 3)
    await _append(store, 10)

    assert (await verified(store)).number == 10
