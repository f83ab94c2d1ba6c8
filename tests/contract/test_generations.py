"""What shared/store promises of questions and answers, on the same stores as test_store.py."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

from shared.chat import Generation, GenerationState, JobClass, SamplingParams, TokenLogprob
from shared.errors import GenerationCrashed
from shared.ids import new_id
from shared.store import Store
from tests.factories import LANE, generation


class TestGenerations:
    async def test_question_comes_back_as_it_was_written(self, store: Store) -> None:
        asked = generation(
            question="여러 줄\n👨‍👩‍👧 'quote' \"double\" <b> ﷽ " + "e\u0301" * 3,
            sampling=SamplingParams(
                temperature=0.0,
                max_new_tokens=7,
                stop=("끝", "\n\n"),
                logprobs=3,
                json_schema='{"type":"object"}',
                top_k=5,
                min_p=0.05,
                repetition_penalty=1.1,
            ),
            seed=2**62 + 1,
        )

        assert await store.generations.add(asked)

        found = await store.generations.get(asked.id)
        assert found is not None
        assert abs(found.created_at - asked.created_at) < timedelta(milliseconds=2)
        assert found.question == asked.question
        assert found.sampling == asked.sampling
        assert found.seed == asked.seed

    async def test_several_are_read_at_once_and_missing_ones_are_missing(self, store: Store) -> None:
        asked = [generation() for _ in range(3)]
        for one in asked:
            await store.generations.add(one)

        found = await store.generations.get_many([asked[0].id, asked[2].id, new_id()])

        assert {name: one.seed for name, one in found.items()} == {asked[0].id: 1, asked[2].id: 1}
        assert found[asked[0].id].state is GenerationState.QUEUED
        assert await store.generations.get_many([]) == {}

    async def test_same_question_sent_twice_is_kept_once(self, store: Store) -> None:
        asked = generation()

        results = await asyncio.gather(*(store.generations.add(asked) for _ in range(8)))

        assert sum(results) == 1

    async def test_lowest_tag_is_claimed_first(self, store: Store) -> None:
        tags = [5.0, 1.0, 3.0]
        for tag in tags:
            await store.generations.add(generation(tag=tag))
        await store.generations.add(generation(tag=0.0, lane="chat.other"))

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
        assert (result.is_current, result.cancel_requested_at) == (True, None)
        assert await store.generations.requeue(first.id, first.attempt)

        second = await store.generations.claim(LANE, "other")

        assert second is not None
        assert (second.id, second.attempt) == (first.id, 2)
        assert (second.token_ids, second.answer, second.model_digest) == ((5, 6), "안녕", "digest")

    async def test_what_is_given_back_is_what_the_next_claim_continues_from(self, store: Store) -> None:
        first = await self._claimed(store)
        given = await store.generations.checkpoint(first.id, first.attempt, [5, 6], "안녕", "digest", gives_back=True)
        again = await store.generations.checkpoint(
            first.id, first.attempt, [5, 6, 7], "안녕!", "digest", gives_back=True
        )
        late = await store.generations.checkpoint(first.id, first.attempt, [5], "안", "digest")

        second = await store.generations.claim(LANE, "other", suspects=False)

        assert (given.is_current, again.is_current, late.is_current) == (True, False, False)
        assert second is not None
        assert (second.id, second.attempt, second.stalled_attempts) == (first.id, 2, 1)
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

    async def test_finished_answer_keeps_its_reason_and_logprobs(self, store: Store) -> None:
        turn = await self._claimed(store)
        half = TokenLogprob("가".encode()[:2], -0.25, (TokenLogprob(b"a", -0.125), TokenLogprob(b"", -3.5)))
        told = (half, TokenLogprob("가".encode()[2:], 0.0), TokenLogprob(b".", -1.0, start=1))
        result = await store.generations.checkpoint(turn.id, turn.attempt, [1], "", "digest", told[:1])
        assert result.is_current
        checkpointed = await store.generations.get(turn.id)

        await store.generations.finish(
            turn.id, turn.attempt, GenerationState.DONE, [1, 2, 3], "가.", finish_reason="length", logprobs=told
        )

        found = await store.generations.get(turn.id)
        assert checkpointed is not None
        assert found is not None
        assert (checkpointed.finish_reason, checkpointed.logprobs) == (None, told[:1])
        assert (found.finish_reason, found.logprobs) == ("length", told)
        (listed,) = await store.generations.of_conversation(turn.conversation_id, turn.user_id)
        assert listed.logprobs is None

    async def test_finished_answer_tells_which_model_wrote_it_and_keeps_it_from_an_attempt_that_wrote_none(
        self, store: Store
    ) -> None:
        quick, begun = await self._claimed(store), await self._claimed(store)
        await store.generations.finish(quick.id, 1, GenerationState.DONE, [1], "네", model_digest="sha256:quick")
        await store.generations.checkpoint(begun.id, 1, [1], "네", "sha256:begun")
        await store.generations.finish(begun.id, 1, GenerationState.FAILED, [1], "네")

        told = await store.generations.get_many([quick.id, begun.id])
        assert (told[quick.id].model_digest, told[begun.id].model_digest) == ("sha256:quick", "sha256:begun")

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
        assert marked.state is GenerationState.RUNNING
        assert marked.cancel_requested_at is not None
        result = await store.generations.checkpoint(running.id, running.attempt, [1], "가", "digest")
        assert result.cancel_requested_at == marked.cancel_requested_at
        assert await store.generations.claim(LANE, "worker") is None

    async def test_foreign_answer_cannot_be_stopped(self, store: Store) -> None:
        turn = await self._claimed(store)

        assert await store.generations.request_cancel(turn.id, "somebody else") is None

        found = await store.generations.get(turn.id)
        assert found is not None
        assert found.cancel_requested_at is None

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

    async def test_line_is_in_the_order_of_claims(self, store: Store) -> None:
        bulk = generation(tag=0.0, job_class=JobClass.BULK)
        late = generation(tag=3.0)
        early, twin = sorted((generation(tag=1.0) for _ in range(2)), key=lambda turn: turn.id)
        for turn in (bulk, twin, late, early):
            await store.generations.add(turn)
        await store.generations.add(generation(tag=0.5, lane="chat.other"))

        line = await store.generations.waiting_in(LANE, limit=10)
        claims = [await store.generations.claim(LANE, "worker") for _ in range(4)]

        assert [rank.generation_id for rank in line] == [early.id, twin.id, late.id, bulk.id]
        assert [turn.id for turn in claims if turn] == [rank.generation_id for rank in line]
        assert await store.generations.waiting_in(LANE, limit=10) == []

    async def test_branch_leads_from_the_first_question_to_the_leaf(self, store: Store) -> None:
        conversation_id = new_id()
        whose = {"conversation_id": conversation_id, "user_id": new_id()}
        first = generation(question="하나", **whose)
        second = generation(question="둘", parent_id=first.id, **whose)
        sibling = generation(question="다른 둘", parent_id=first.id, **whose)
        for turn in (first, second, sibling):
            await store.generations.add(turn)

        assert [turn.question for turn in await store.generations.branch(second.id, first.user_id)] == ["하나", "둘"]
        assert [turn.question for turn in await store.generations.branch(sibling.id, first.user_id)] == [
            "하나",
            "다른 둘",
        ]
        assert await store.generations.branch(new_id(), first.user_id) == []

    async def test_turns_of_somebody_else_look_like_none(self, store: Store) -> None:
        conversation_id, stranger = new_id(), new_id()
        turn = generation(conversation_id=conversation_id, question="하나")
        foreign = generation(conversation_id=conversation_id, question="둘", parent_id=turn.id, user_id=stranger)
        for written in (turn, foreign):
            await store.generations.add(written)

        assert await store.generations.branch(turn.id, stranger) == []
        assert [found.id for found in await store.generations.branch(turn.id, turn.user_id)] == [turn.id]
        assert await store.generations.of_conversation(conversation_id, new_id()) == []
        assert [found.id for found in await store.generations.of_conversation(conversation_id, stranger)] == [
            foreign.id
        ]

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
        assert await store.generations.waiting_since(soon, ["chat.other"]) == []
        assert await store.generations.waiting_since(datetime.now(UTC) - timedelta(minutes=1), [LANE]) == []

    async def _claimed(self, store: Store) -> Generation:
        await store.generations.add(generation())
        return await self._claim_again(store)

    async def _claim_again(self, store: Store) -> Generation:
        turn = await store.generations.claim(LANE, "worker")
        assert turn is not None
        return turn
