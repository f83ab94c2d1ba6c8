"""The promise of shared/store, on the embedded store and, with NUNMAL_TEST_MONGODB_URL set, on a real MongoDB."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from shared.chat import AccountRole
from shared.errors import EmailTaken, StoreUnavailable
from shared.ids import new_id
from shared.store import Store
from shared.store.usage import UsedTokens
from tests.factories import LANE, generation


async def test_server_that_is_not_there_is_said_in_one_error() -> None:
    store = Store("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200", "test")

    with pytest.raises(StoreUnavailable, match="ServerSelectionTimeoutError"):
        await store.ping()
    await store.__aexit__()


class TestUsers:
    async def test_account_is_found_by_id_and_by_email(self, store: Store) -> None:
        user = await store.users.create("jiu@example.com", "지우", b"hash", AccountRole.USER)

        credentials = await store.users.credentials("jiu@example.com")

        assert credentials is not None
        assert credentials.password_hash == b"hash"
        assert credentials.user.id == user.id
        found = await store.users.get(user.id)
        assert found is not None
        assert (found.name, found.email, found.role) == ("지우", "jiu@example.com", AccountRole.USER)

    async def test_email_is_taken_once_even_when_asked_for_at_the_same_time(self, store: Store) -> None:
        attempts = [store.users.create("a@example.com", "가", b"x", AccountRole.USER) for _ in range(8)]

        results = await asyncio.gather(*attempts, return_exceptions=True)

        assert sum(isinstance(result, EmailTaken) for result in results) == 7

    async def test_unknown_account_is_none(self, store: Store) -> None:
        assert await store.users.credentials("nobody@example.com") is None
        assert await store.users.get(new_id()) is None


class TestSessions:
    async def test_session_leads_to_its_user_until_revoked(self, store: Store) -> None:
        await store.sessions.create("token", "user", timedelta(days=1))
        assert await store.sessions.user_id("token") == "user"

        await store.sessions.revoke("token")

        assert await store.sessions.user_id("token") is None

    async def test_expired_session_is_worth_nothing_and_swept(self, store: Store) -> None:
        await store.sessions.create("old", "user", timedelta(seconds=-1))
        await store.sessions.create("new", "user", timedelta(days=1))

        assert await store.sessions.user_id("old") is None
        await store.sessions.sweep()
        assert await store.sessions.user_id("new") == "user"

    async def test_all_sessions_of_a_user_end_together(self, store: Store) -> None:
        for token, user in (("one", "me"), ("two", "me"), ("three", "other")):
            await store.sessions.create(token, user, timedelta(days=1))

        await store.sessions.revoke_all("me")

        assert [await store.sessions.user_id(token) for token in ("one", "two", "three")] == [None, None, "other"]

    async def test_token_itself_is_not_stored(self, store: Store, store_url: str) -> None:
        await store.sessions.create("the-secret-token", "user", timedelta(days=1))

        rows = await store.sessions._sessions.find({}).to_list(10)

        assert "the-secret-token" not in repr(rows)


class TestConversations:
    async def test_foreign_conversation_looks_like_an_unknown_one(self, store: Store) -> None:
        conversation_id = new_id()
        await store.conversations.create(conversation_id, "owner", "제목", "leaf")

        assert await store.conversations.get(conversation_id, "other") is None
        assert not await store.conversations.rename(conversation_id, "other", "남의 것")
        assert not await store.conversations.move_leaf(conversation_id, "other", "leaf", "mine")
        assert not await store.conversations.delete(conversation_id, "other")
        kept = await store.conversations.get(conversation_id, "owner")
        assert kept is not None
        assert (kept.title, kept.leaf_id) == ("제목", "leaf")

    async def test_last_used_conversation_comes_first(self, store: Store) -> None:
        first, second = new_id(), new_id()
        await store.conversations.create(first, "me", "하나", "a")
        await store.conversations.create(second, "me", "둘", "b")
        created_ms = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 == created_ms:  # times are stored in milliseconds
            pass
        await store.conversations.move_leaf(first, "me", "a", "c")

        assert [conversation.id for conversation in await store.conversations.latest("me")] == [first, second]

    async def test_only_one_of_two_rivals_moves_the_leaf(self, store: Store) -> None:
        conversation_id = new_id()
        await store.conversations.create(conversation_id, "me", "제목", "old")

        moves = [store.conversations.move_leaf(conversation_id, "me", "old", f"new{n}") for n in range(8)]

        assert sum(await asyncio.gather(*moves)) == 1

    async def test_creating_it_again_changes_nothing(self, store: Store) -> None:
        conversation_id = new_id()
        await store.conversations.create(conversation_id, "me", "처음", "a")
        await store.conversations.create(conversation_id, "me", "다시", "b")

        kept = await store.conversations.get(conversation_id, "me")

        assert kept is not None
        assert (kept.title, kept.leaf_id) == ("처음", "a")

    async def test_rename_and_delete(self, store: Store) -> None:
        conversation_id = new_id()
        await store.conversations.create(conversation_id, "me", "처음", "a")

        assert await store.conversations.rename(conversation_id, "me", "새 이름")
        renamed = await store.conversations.get(conversation_id, "me")
        assert renamed is not None
        assert renamed.title == "새 이름"
        assert await store.conversations.delete(conversation_id, "me")
        assert await store.conversations.get(conversation_id, "me") is None


async def start_tag(store: Store, lane: str, user_id: str, cost: float) -> float:
    return await store.fairness.start_tag(lane, user_id, cost, await store.fairness.virtual_time(lane))


class TestFairness:
    async def test_who_asked_much_waits_behind_their_own_questions(self, store: Store) -> None:
        tags = [await start_tag(store, LANE, "much", 100) for _ in range(3)]

        assert tags == [0.0, 100.0, 200.0]
        assert await start_tag(store, LANE, "little", 100) == 0.0
        assert await start_tag(store, "chat.other", "much", 100) == 0.0

    async def test_who_was_away_begins_at_the_present(self, store: Store) -> None:
        await start_tag(store, LANE, "early", 10)
        await store.fairness.claimed(LANE, 500.0)
        await store.fairness.claimed(LANE, 400.0)  # time never goes back

        assert await start_tag(store, LANE, "early", 10) == 500.0
        assert await start_tag(store, LANE, "new", 10) == 500.0

    async def test_real_cost_moves_the_next_question(self, store: Store) -> None:
        await start_tag(store, LANE, "one", 100)
        await store.fairness.correct(LANE, "one", 50)

        assert await start_tag(store, LANE, "one", 100) == 150.0

    @pytest.mark.parametrize("present", [0.0, 500.0])
    async def test_questions_asked_at_once_never_share_their_turn(self, store: Store, present: float) -> None:
        await start_tag(store, LANE, "away", 10)
        await store.fairness.claimed(LANE, present)

        for user in ("new", "away"):
            tags = await asyncio.gather(*(start_tag(store, LANE, user, 10) for _ in range(20)))

            first = max(present, 10.0 if user == "away" else 0.0)
            assert sorted(tags) == [first + 10.0 * number for number in range(20)]

    async def test_served_users_are_forgotten_and_others_are_not(self, store: Store) -> None:
        await start_tag(store, LANE, "served", 10)
        await start_tag(store, LANE, "waits", 1000)
        await store.fairness.claimed(LANE, 100.0)

        await store.fairness.sweep()

        assert await start_tag(store, LANE, "served", 10) == 100.0
        assert await start_tag(store, LANE, "waits", 10) == 1000.0

    async def test_hundred_questions_of_one_delay_another_by_one(self, store: Store) -> None:
        for _ in range(100):
            tag = await start_tag(store, LANE, "much", 50)
            await store.generations.add(generation(user_id="much", tag=tag))
        for _ in range(10):
            claimed = await store.generations.claim(LANE, "worker")
            assert claimed is not None
            await store.fairness.claimed(LANE, claimed.tag)

        tag = await start_tag(store, LANE, "little", 50)
        await store.generations.add(generation(user_id="little", tag=tag))
        claims = [await store.generations.claim(LANE, "worker") for _ in range(2)]

        assert "little" in [turn.user_id for turn in claims if turn]


class TestUsage:
    async def test_tokens_are_counted_by_minute_and_by_day_in_seoul(self, store: Store) -> None:
        noon = datetime(2026, 5, 1, 3, 0, 30, tzinfo=UTC)
        await store.usage.add("one", 10, noon - timedelta(minutes=1))
        await store.usage.add("one", 20, noon)
        await store.usage.add("one", 5, noon)
        await store.usage.add("two", 99, noon)

        assert await store.usage.of("one", noon) == UsedTokens(today=35, this_minute=25, last_minute=10)
        assert (await store.usage.of("one", noon + timedelta(minutes=1))).last_minute == 25

    async def test_day_begins_at_midnight_in_seoul(self, store: Store) -> None:
        midnight = datetime(2026, 5, 1, 15, 0, tzinfo=UTC)
        await store.usage.add("one", 10, midnight - timedelta(seconds=1))
        await store.usage.add("one", 1, midnight)

        assert (await store.usage.of("one", midnight - timedelta(seconds=1))).today == 10
        assert (await store.usage.of("one", midnight + timedelta(hours=23))).today == 1

    async def test_old_counts_are_forgotten(self, store: Store) -> None:
        long_ago = datetime.now(UTC) - timedelta(days=60)
        await store.usage.add("one", 10, long_ago)
        await store.usage.add("one", 10, datetime.now(UTC))

        await store.usage.sweep()

        assert (await store.usage.of("one", long_ago)).today == 0
        assert (await store.usage.of("one", datetime.now(UTC))).today == 10


class TestWorkers:
    async def test_measured_times_travel_with_the_heartbeat(self, store: Store) -> None:
        await store.workers.beat("one", LANE, "test", "digest", 4, 1, service_s=2.5, answer_tokens=80.0)

        (alive,) = await store.workers.alive(timedelta(seconds=60), LANE)

        assert (alive.service_s, alive.answer_tokens, alive.free) == (2.5, 80.0, 3)

    async def test_worker_lives_as_long_as_its_heartbeat_is_fresh(self, store: Store) -> None:
        await store.workers.beat("one", LANE, "test", "digest", slots=4, busy=1)

        (alive,) = await store.workers.alive(timedelta(seconds=60), LANE)

        assert (alive.id, alive.slots, alive.busy) == ("one", 4, 1)
        assert await store.workers.alive(timedelta(0)) == []
        assert await store.workers.alive(timedelta(seconds=60), "chat.other") == []

    async def test_a_worker_learns_with_its_heartbeat_that_it_is_to_drain(self, store: Store) -> None:
        assert await store.workers.beat("one", LANE, "test", "digest", slots=4, busy=1) is False
        assert await store.workers.ask_to_drain("one") is True
        assert await store.workers.beat("one", LANE, "test", "digest", slots=4, busy=1) is True
        assert (await store.workers.alive(timedelta(seconds=60)))[0].is_asked_to_drain
        assert await store.workers.ask_to_drain("another") is False
        assert len(await store.workers.alive(timedelta(seconds=60))) == 1

    async def test_worker_that_leaves_is_gone_at_once(self, store: Store) -> None:
        await store.workers.beat("one", LANE, "test", "digest", slots=4, busy=1)

        await store.workers.remove("one")

        assert await store.workers.alive(timedelta(seconds=60)) == []

    async def test_long_silent_workers_are_forgotten(self, store: Store) -> None:
        await store.workers.beat("one", LANE, "test", "digest", slots=4, busy=1)

        await store.workers.sweep(timedelta(seconds=-60))

        assert await store.workers.alive(timedelta(days=9)) == []
