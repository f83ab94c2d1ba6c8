"""The promise of shared/store, on the embedded store and, with NUNMAL_TEST_MONGODB_URL set, on a real MongoDB."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta

import pytest

from shared.chat import AccountRole, Generation, GenerationState, SamplingParams
from shared.errors import EmailTaken, GenerationCrashed, StoreUnavailable
from shared.ids import new_id
from shared.store import Store
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


class TestGenerations:
    async def test_question_comes_back_as_it_was_written(self, store: Store) -> None:
        asked = generation(
            question="여러 줄\n👨‍👩‍👧 'quote' \"double\" <b> ﷽ " + "e\u0301" * 3,
            sampling=SamplingParams(temperature=0.0, max_new_tokens=7),
            seed=2**62 + 1,
        )

        assert await store.generations.add(asked)

        found = await store.generations.get(asked.id)
        assert found is not None
        assert abs(found.created_at - asked.created_at) < timedelta(milliseconds=2)
        assert found.question == asked.question
        assert found.sampling == asked.sampling
        assert found.seed == asked.seed

    async def test_same_question_sent_twice_is_kept_once(self, store: Store) -> None:
        asked = generation()

        results = await asyncio.gather(*(store.generations.add(asked) for _ in range(8)))

        assert sum(results) == 1

    async def test_lowest_tag_is_claimed_first(self, store: Store) -> None:
        tags = [5.0, 1.0, 3.0]
        for tag in tags:
            await store.generations.add(generation(tag=tag))
        await store.generations.add(generation(tag=0.0, lane="interactive.other"))

        claimed = [await store.generations.claim(LANE, "worker") for _ in range(4)]

        assert [turn.tag if turn else None for turn in claimed] == [1.0, 3.0, 5.0, None]

    async def test_rivals_never_claim_the_same_one(self, store: Store) -> None:
        asked = [generation(tag=float(number)) for number in range(30)]
        for turn in asked:
            await store.generations.add(turn)

        async def claim_all(worker_id: str) -> list[str]:
            ids = []
            while turn := await store.generations.claim(LANE, worker_id):
                assert turn.worker_id == worker_id
                assert turn.state is GenerationState.RUNNING
                ids.append(turn.id)
            return ids

        claims = await asyncio.gather(*(claim_all(f"worker {number}") for number in range(5)))

        assert sorted(itertools.chain(*claims)) == sorted(turn.id for turn in asked)

    async def test_checkpoint_is_what_the_next_claim_continues_from(self, store: Store) -> None:
        first = await self._claimed(store)
        result = await store.generations.checkpoint(first.id, first.attempt, [5, 6], "안녕", "digest")
        assert (result.is_current, result.cancel_requested) == (True, False)
        assert await store.generations.requeue(first.id, first.attempt)

        second = await store.generations.claim(LANE, "other")

        assert second is not None
        assert (second.id, second.attempt) == (first.id, 2)
        assert (second.token_ids, second.answer, second.model_digest) == ((5, 6), "안녕", "digest")

    async def test_worker_of_an_older_attempt_cannot_write(self, store: Store) -> None:
        old = await self._claimed(store)
        await store.generations.requeue(old.id, old.attempt)
        new = await store.generations.claim(LANE, "other")
        assert new is not None

        result = await store.generations.checkpoint(old.id, old.attempt, [9], "낡은", "digest")
        finished = await store.generations.finish(old.id, old.attempt, GenerationState.DONE, [9], "낡은")
        requeued = await store.generations.requeue(old.id, old.attempt)

        assert (result.is_current, finished, requeued) == (False, False, False)
        now = await store.generations.get(old.id)
        assert now is not None
        assert (now.answer, now.state, now.attempt) == ("", GenerationState.RUNNING, new.attempt)

    async def test_claims_without_progress_are_counted_until_a_token_comes(self, store: Store) -> None:
        turn = await self._claimed(store)
        for _ in range(2):
            await store.generations.requeue(turn.id, turn.attempt)
            turn = await self._claim_again(store)
        assert turn.stalled_attempts == 3

        await store.generations.checkpoint(turn.id, turn.attempt, [1], "가", "digest")
        await store.generations.requeue(turn.id, turn.attempt)

        assert (await self._claim_again(store)).stalled_attempts == 1

    async def test_finished_answer_keeps_its_error_and_facts(self, store: Store) -> None:
        turn = await self._claimed(store)
        error = GenerationCrashed(step=3)

        assert await store.generations.finish(turn.id, turn.attempt, GenerationState.FAILED, [1], "반", error)

        found = await store.generations.get(turn.id)
        assert found is not None
        assert (found.state, found.error_code, found.error_facts) == (
            GenerationState.FAILED,
            "generation_crashed",
            {"step": 3},
        )
        assert found.finished_at is not None
        assert await store.generations.claim(LANE, "worker") is None

    async def test_stop_ends_a_waiting_one_at_once_and_marks_a_running_one(self, store: Store) -> None:
        running = await self._claimed(store)
        waiting = generation()
        await store.generations.add(waiting)

        stopped = await store.generations.request_cancel(waiting.id, waiting.user_id)
        marked = await store.generations.request_cancel(running.id, running.user_id)

        assert stopped is not None
        assert stopped.state is GenerationState.STOPPED
        assert marked is not None
        assert (marked.state, marked.cancel_requested) == (GenerationState.RUNNING, True)
        result = await store.generations.checkpoint(running.id, running.attempt, [1], "가", "digest")
        assert result.cancel_requested
        assert await store.generations.claim(LANE, "worker") is None

    async def test_foreign_answer_cannot_be_stopped(self, store: Store) -> None:
        turn = await self._claimed(store)

        assert await store.generations.request_cancel(turn.id, "somebody else") is None

        found = await store.generations.get(turn.id)
        assert found is not None
        assert not found.cancel_requested

    async def test_listener_named_before_or_after_the_claim_is_seen(self, store: Store) -> None:
        asked = generation()
        await store.generations.add(asked)
        await store.generations.listen(asked.id, "node one")
        claimed = await store.generations.claim(LANE, "worker")
        assert claimed is not None
        assert claimed.listeners == ("node one",)

        later = await store.generations.listen(asked.id, "node two")
        again = await store.generations.listen(asked.id, "node two")

        assert later is not None
        assert later.worker_id == "worker"
        assert again is not None
        assert again.listeners == ("node one", "node two")

    async def test_position_counts_lower_tags_of_the_same_lane(self, store: Store) -> None:
        for tag in (1.0, 2.0, 3.0):
            await store.generations.add(generation(tag=tag))
        await store.generations.add(generation(tag=0.5, lane="interactive.other"))

        assert await store.generations.ahead_of(LANE, 3.0) == 2

    async def test_branch_leads_from_the_first_question_to_the_leaf(self, store: Store) -> None:
        conversation_id = new_id()
        first = generation(conversation_id=conversation_id, question="하나")
        second = generation(conversation_id=conversation_id, question="둘", parent_id=first.id)
        sibling = generation(conversation_id=conversation_id, question="다른 둘", parent_id=first.id)
        for turn in (first, second, sibling):
            await store.generations.add(turn)

        assert [turn.question for turn in await store.generations.branch(second.id)] == ["하나", "둘"]
        assert [turn.question for turn in await store.generations.branch(sibling.id)] == ["하나", "다른 둘"]
        assert await store.generations.branch(new_id()) == []

    async def test_unfinished_answers_of_a_user_are_counted_up_to_the_limit(self, store: Store) -> None:
        user_id = new_id()
        for _ in range(3):
            await store.generations.add(generation(user_id=user_id))
        await store.generations.add(generation(user_id=user_id, state=GenerationState.DONE))

        assert await store.generations.unfinished_of_user(user_id, limit=10) == 3
        assert await store.generations.unfinished_of_user(user_id, limit=2) == 2

    async def test_question_taken_back_is_gone_but_a_claimed_one_stays(self, store: Store) -> None:
        waiting = generation()
        await store.generations.add(waiting)
        await store.generations.remove(waiting.id)
        running = await self._claimed(store)
        await store.generations.remove(running.id)

        assert await store.generations.get(waiting.id) is None
        assert await store.generations.get(running.id) is not None

    async def test_waiting_without_a_fresh_permit_is_found_in_order(self, store: Store) -> None:
        late, early = generation(tag=2.0), generation(tag=1.0)
        for turn in (late, early):
            await store.generations.add(turn)
        soon = datetime.now(UTC) + timedelta(seconds=1)

        assert [turn.id for turn in await store.generations.waiting_since(soon, [LANE])] == [early.id, late.id]
        assert await store.generations.waiting_since(soon, ["interactive.other"]) == []
        assert await store.generations.waiting_since(datetime.now(UTC) - timedelta(minutes=1), [LANE]) == []

    async def _claimed(self, store: Store) -> Generation:
        await store.generations.add(generation())
        return await self._claim_again(store)

    async def _claim_again(self, store: Store) -> Generation:
        turn = await store.generations.claim(LANE, "worker")
        assert turn is not None
        return turn


class TestWorkers:
    async def test_worker_lives_as_long_as_its_heartbeat_is_fresh(self, store: Store) -> None:
        await store.workers.beat("one", LANE, "test", "digest", slots=4, busy=1)

        (alive,) = await store.workers.alive(timedelta(seconds=60), LANE)

        assert (alive.id, alive.slots, alive.busy) == ("one", 4, 1)
        assert await store.workers.alive(timedelta(0)) == []
        assert await store.workers.alive(timedelta(seconds=60), "interactive.other") == []

    async def test_worker_that_leaves_is_gone_at_once(self, store: Store) -> None:
        await store.workers.beat("one", LANE, "test", "digest", slots=4, busy=1)

        await store.workers.remove("one")

        assert await store.workers.alive(timedelta(seconds=60)) == []

    async def test_long_silent_workers_are_forgotten(self, store: Store) -> None:
        await store.workers.beat("one", LANE, "test", "digest", slots=4, busy=1)

        await store.workers.sweep(timedelta(seconds=-60))

        assert await store.workers.alive(timedelta(days=9)) == []
