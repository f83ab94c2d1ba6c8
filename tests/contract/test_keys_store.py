"""The promise of shared/store/keys.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.scopes import SCOPES
from shared.store import Store


async def test_secret_leads_to_its_key(store: Store) -> None:
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    key, secret = await store.keys.create("me", "노트북", ["chat", "models"], expires_at)

    found = await store.keys.authenticate(secret)

    assert found == key
    assert (key.user_id, key.name, key.expires_at) == ("me", "노트북", expires_at)
    assert key.scopes == {"chat", "models"}
    assert key.last_used_at is None
    assert secret.startswith("sk-nunmal-")
    assert secret.endswith(key.hint)


async def test_key_made_without_options_may_do_everything_for_good(store: Store) -> None:
    key, _ = await store.keys.create("me")

    assert (key.name, key.scopes, key.expires_at) == ("", frozenset(SCOPES), None)


async def test_unknown_secret_is_none(store: Store) -> None:
    _, secret = await store.keys.create("me")
    last = "A" if secret[-1] != "A" else "B"

    for other in (secret[:-1] + last, secret + "A", secret[:-1], "sk-nunmal-", "", "\ud800", "sk-" + "x" * 10_000):
        assert await store.keys.authenticate(other) is None


async def test_expired_key_opens_nothing_and_is_still_listed(store: Store) -> None:
    key, secret = await store.keys.create("me", expires_at=datetime.now(UTC) - timedelta(seconds=1))

    assert await store.keys.authenticate(secret) is None
    assert await store.keys.of_user("me") == [key]
    assert key.is_expired


async def test_only_the_owner_revokes_a_key_and_only_once(store: Store) -> None:
    key, secret = await store.keys.create("me")

    assert not await store.keys.revoke(key.id, "other")
    assert await store.keys.authenticate(secret) == key
    assert await store.keys.revoke(key.id, "me")
    assert await store.keys.authenticate(secret) is None
    assert not await store.keys.revoke(key.id, "me")
    assert await store.keys.get(key.id) is None


async def test_keys_are_listed_the_last_made_first(store: Store) -> None:
    keys = [(await store.keys.create("me", name))[0] for name in ("가", "나", "다")]
    await store.keys.create("other")

    found = await store.keys.of_user("me")

    assert [key.id for key in found] == sorted((key.id for key in keys), reverse=True)


async def test_keys_leave_with_their_account(store: Store) -> None:
    await store.keys.create("me")
    kept, _ = await store.keys.create("other")

    await store.keys.remove_user("me")

    assert await store.keys.of_user("me") == []
    assert await store.keys.of_user("other") == [kept]


async def test_last_use_is_written_at_most_once_a_minute(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = await store.keys.create("me")
    begin = key.created_at.timestamp()
    for later_s in (10.0, 69.0):  # another node may have written meanwhile: the key it holds is no newer
        monkeypatch.setattr("shared.store.keys.now", lambda at=begin + later_s: at)
        await store.keys.used(key)

    found = await store.keys.authenticate(secret)
    assert found is not None and found.last_used_at is not None
    assert found.last_used_at.timestamp() == pytest.approx(begin + 10)

    monkeypatch.setattr("shared.store.keys.now", lambda: begin + 71)
    await store.keys.used(found)
    (found,) = await store.keys.of_user("me")
    assert found.last_used_at is not None
    assert found.last_used_at.timestamp() == pytest.approx(begin + 71)


async def test_use_of_a_revoked_key_brings_nothing_back(store: Store) -> None:
    key, _ = await store.keys.create("me")
    await store.keys.revoke(key.id, "me")

    await store.keys.used(replace(key, last_used_at=None))

    assert await store.keys.of_user("me") == []


async def test_secret_itself_is_not_stored(store: Store) -> None:
    _, secret = await store.keys.create("me")

    rows = await store.keys._keys.find({}).to_list(10)

    assert secret.removeprefix("sk-nunmal-")[:-4] not in repr(rows)
