"""What shared/store promises about accounts, log-ins, tries, reset links and second steps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from shared.chat import AccountRole
from shared.ids import new_id
from shared.store import Store
from shared.store.throttle import Tries

_DAY = timedelta(days=1)


class TestUsers:
    async def test_account_is_found_by_email_and_by_id_with_and_without_its_password(self, store: Store) -> None:
        user = await store.users.create("jiu@example.com", "지우", b"hash", AccountRole.USER)

        assert await store.users.by_email("jiu@example.com") == user
        assert await store.users.by_email("nobody@example.com") is None
        credentials = await store.users.credentials_of(user.id)
        assert credentials is not None
        assert (credentials.user, credentials.password_hash) == (user, b"hash")
        assert await store.users.credentials_of(new_id()) is None

    async def test_name_role_and_password_change_alone(self, store: Store) -> None:
        user = await store.users.create("jiu@example.com", "지우", b"hash", AccountRole.USER)
        other = await store.users.create("other@example.com", "다른 이", b"other", AccountRole.USER)

        assert await store.users.set_name(user.id, "새 이름")
        assert await store.users.set_role(user.id, AccountRole.OPERATOR)
        assert await store.users.set_password(user.id, b"new")

        credentials = await store.users.credentials_of(user.id)
        assert credentials is not None
        changed = credentials.user
        assert (changed.name, changed.role, credentials.password_hash) == ("새 이름", AccountRole.OPERATOR, b"new")
        assert changed.created_at == user.created_at
        assert await store.users.everyone() == [changed, other]

    async def test_nobody_cannot_be_changed(self, store: Store) -> None:
        assert not await store.users.set_name(new_id(), "x")
        assert await store.users.everyone() == []


class TestSessions:
    async def test_sessions_are_listed_for_their_owner(self, store: Store) -> None:
        await store.sessions.create("one", "me", _DAY, user_agent="Firefox" * 100, address="198.51.100.1")
        await store.sessions.create("two", "me", _DAY)
        await store.sessions.create("three", "other", _DAY)
        await store.sessions.create("old", "me", timedelta(seconds=-1))

        first, second = await store.sessions.of("me", "one")

        assert (first.is_this, first.address, len(first.user_agent)) == (True, "198.51.100.1", 400)
        assert (second.is_this, second.address, second.user_agent) == (False, "", "")
        assert abs((first.begun_at - first.last_used_at).total_seconds()) < 1

    async def test_one_session_ends_by_its_id_and_only_for_its_owner(self, store: Store) -> None:
        for token, user in (("one", "me"), ("two", "me")):
            await store.sessions.create(token, user, _DAY)
        other = next(session for session in await store.sessions.of("me", "one") if not session.is_this)

        assert not await store.sessions.revoke_one("thief", other.id)
        assert not await store.sessions.revoke_one("me", new_id())
        assert await store.sessions.revoke_one("me", other.id)
        assert [await store.sessions.user_id(token) for token in ("one", "two")] == ["me", None]

    async def test_all_others_end_together(self, store: Store) -> None:
        for token, user in (("one", "me"), ("two", "me"), ("three", "me"), ("four", "other")):
            await store.sessions.create(token, user, _DAY)

        await store.sessions.revoke_others("me", "two")

        alive = [await store.sessions.user_id(token) for token in ("one", "two", "three", "four")]
        assert alive == [None, "me", None, "other"]

    async def test_an_unused_session_ends_after_its_idle_time(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await store.sessions.create("used", "me", _DAY, idle=timedelta(hours=2))
        await store.sessions.create("unused", "me", _DAY, idle=timedelta(hours=2))
        begin = datetime.now(UTC).timestamp()

        for hours in (1.5, 3.0):
            monkeypatch.setattr("shared.store.sessions.now", lambda hours=hours: begin + hours * 3600)
            assert await store.sessions.user_id("used") == "me"

        assert await store.sessions.user_id("unused") is None
        assert [session.is_this for session in await store.sessions.of("me", "used")] == [True]

    async def test_use_is_written_once_in_five_minutes(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        await store.sessions.create("one", "me", _DAY)
        begin = datetime.now(UTC).timestamp()
        seen = []
        for minutes in (4, 6, 10, 12):
            monkeypatch.setattr("shared.store.sessions.now", lambda minutes=minutes: begin + minutes * 60)
            await store.sessions.user_id("one")
            seen.append(round(((await store.sessions.of("me", "one"))[0].last_used_at.timestamp() - begin) / 60))

        assert seen == [0, 6, 6, 12]


class TestThrottle:
    async def test_of_rivals_who_read_the_same_count_one_writes(self, store: Store) -> None:
        at = datetime.now(UTC)
        first = [store.throttle.write("key", Tries(1.0, at), at) for _ in range(8)]
        assert sum(await asyncio.gather(*first)) == 1

        found = (await store.throttle.read(["key", "other"]))["key"]
        second = [store.throttle.write("key", Tries(2.0, at, found.version), at) for _ in range(8)]
        assert sum(await asyncio.gather(*second)) == 1

        counted = await store.throttle.read(["key", "other"])
        assert list(counted) == ["key"]
        assert (counted["key"].count, counted["key"].version) == (2.0, 2)
        assert abs((counted["key"].at - at).total_seconds()) < 0.001

    async def test_a_try_is_given_back_but_never_more_than_there_are(self, store: Store) -> None:
        at = datetime.now(UTC)
        await store.throttle.write("key", Tries(1.5, at), at)

        await store.throttle.give_back("key")
        await store.throttle.give_back("key")
        await store.throttle.give_back("nobody")

        assert (await store.throttle.read(["key"]))["key"].count == 0.5
        assert not await store.throttle.write("key", Tries(9.0, at, 1), at)

    async def test_counts_end_when_forgotten_or_down_to_nothing(self, store: Store) -> None:
        at = datetime.now(UTC)
        for key, forget_at in (("past", at - _DAY), ("future", at + _DAY), ("forgotten", at + _DAY)):
            await store.throttle.write(key, Tries(1.0, at), forget_at)

        await store.throttle.forget("forgotten")
        await store.throttle.sweep()

        assert list(await store.throttle.read(["past", "future", "forgotten"])) == ["future"]


class TestResets:
    async def test_a_link_works_once_even_for_rivals(self, store: Store) -> None:
        token = await store.resets.create("me", _DAY)

        assert (await store.resets.find(token)) is not None
        uses = await asyncio.gather(*(store.resets.use(token) for _ in range(8)))

        assert [use.user_id for use in uses if use] == ["me"]
        assert await store.resets.find(token) is None

    async def test_an_old_an_unknown_and_a_revoked_link_look_the_same(self, store: Store) -> None:
        old = await store.resets.create("me", timedelta(seconds=-1))
        revoked = await store.resets.create("other", _DAY)
        kept = await store.resets.create("me", _DAY, without_second_step=True)

        await store.resets.revoke_all("other")
        await store.resets.sweep()

        for token in (old, revoked, "nonsense", ""):
            assert await store.resets.find(token) is None
            assert await store.resets.use(token) is None
        reset = await store.resets.use(kept)
        assert reset is not None
        assert (reset.user_id, reset.without_second_step) == ("me", True)

    async def test_the_token_itself_is_not_stored(self, store: Store) -> None:
        token = await store.resets.create("me", _DAY)

        assert token not in repr(await store.resets._resets.find({}).to_list(10))


class TestSecondSteps:
    async def test_it_is_switched_on_once(self, store: Store) -> None:
        attempts = [store.second_steps.switch_on("me", f"secret {n}", 7, [f"a{n}", f"b{n}"]) for n in range(4)]

        assert sum(await asyncio.gather(*attempts)) == 1
        step = await store.second_steps.get("me")
        assert step is not None
        assert step.codes_left == 2
        assert await store.second_steps.is_on("me")
        assert not await store.second_steps.is_on("other")

    async def test_a_time_is_used_once_and_never_after_a_later_one(self, store: Store) -> None:
        await store.second_steps.switch_on("me", "secret", 7, ["a"])

        assert not await store.second_steps.use_timecode("me", 7)
        assert sum(await asyncio.gather(*(store.second_steps.use_timecode("me", 9) for _ in range(8)))) == 1
        assert not await store.second_steps.use_timecode("me", 8)
        assert not await store.second_steps.use_timecode("other", 10)

    async def test_a_recovery_code_is_used_once_and_by_its_owner(self, store: Store) -> None:
        await store.second_steps.switch_on("me", "secret", 7, ["a", "b"])

        assert not await store.second_steps.use_code("other", "a")
        assert sum(await asyncio.gather(*(store.second_steps.use_code("me", "a") for _ in range(8)))) == 1
        step = await store.second_steps.get("me")
        assert step is not None
        assert step.codes_left == 1

    async def test_switched_off_it_leaves_nothing(self, store: Store) -> None:
        await store.second_steps.switch_on("me", "secret", 7, ["a"])

        assert await store.second_steps.switch_off("me")
        assert not await store.second_steps.switch_off("me")
        assert await store.second_steps.get("me") is None
        assert not await store.second_steps.use_code("me", "a")
