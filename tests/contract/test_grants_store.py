"""The promise of shared/store/grants.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.chat import AccountRole, User
from shared.ids import new_id
from shared.store import Store
from shared.store.grants import Grant, new_grant

OPERATOR = User(new_id(), "op@example.com", "이운영", AccountRole.OPERATOR, datetime.now(UTC))


async def _grant(store: Store, owner_id: str = "owner", minutes: int = 15) -> Grant:
    grant = new_grant(OPERATOR, owner_id, "사용자가 도움을 청했습니다", minutes)
    await store.grants.add(grant)
    return grant


async def test_grant_comes_back_for_its_operator_only(store: Store) -> None:
    grant = await _grant(store)

    assert await store.grants.get(grant.id, OPERATOR.id) == grant
    assert await store.grants.get(grant.id, "another operator") is None
    assert grant.is_running
    assert grant.until - grant.created_at == timedelta(minutes=15)


async def test_grant_ends_by_itself(store: Store) -> None:
    grant = replace(await _grant(store), expires_at=datetime.now(UTC))

    assert not grant.is_running


async def test_grant_is_ended_early_once_and_by_its_operator_only(store: Store) -> None:
    grant = await _grant(store)

    assert not await store.grants.end(grant.id, "another operator")
    assert await store.grants.end(grant.id, OPERATOR.id)
    assert not await store.grants.end(grant.id, OPERATOR.id)

    found = await store.grants.get(grant.id, OPERATOR.id)
    assert found is not None
    assert not found.is_running
    assert found.ended_at == found.until < grant.expires_at


async def test_grant_that_is_over_cannot_be_ended_later(store: Store) -> None:
    grant = await _grant(store, minutes=0)

    assert not await store.grants.end(grant.id, OPERATOR.id)


async def test_owner_sees_all_grants_and_is_told_until_they_dismiss(store: Store) -> None:
    first, second = await _grant(store), await _grant(store)
    await _grant(store, "another owner")

    assert not await store.grants.dismiss(first.id, "another owner")
    assert await store.grants.dismiss(first.id, "owner")

    assert [grant.id for grant in await store.grants.not_dismissed("owner")] == [second.id]
    assert {grant.id for grant in await store.grants.of_owner("owner")} == {first.id, second.id}
    assert len(await store.grants.of_operator(OPERATOR.id)) == 3


async def test_grants_leave_with_the_account_they_are_about(store: Store) -> None:
    await _grant(store)
    kept = await _grant(store, "another owner")

    await store.grants.remove_user("owner")
    await store.grants.remove_user(OPERATOR.id)

    assert await store.grants.of_operator(OPERATOR.id) == [kept]
