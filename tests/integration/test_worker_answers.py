"""What may be asked of an answer: where it stops, what shape it has, what is told of its tokens, on any worker."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared import recovery
from shared.chat import Generation, GenerationState, SamplingParams
from shared.messages import GenerateReply
from tests.factories import generation
from tests.tiny_models import CONTEXT_LENGTH, tiny_tokenizer
from tests.worker_house import DRAWN, GREEDY, LANE, NODE, House, expected_text
from web.chat.continuing import can_go_on, continued, is_full
from workers.detokenizer import Detokenizer

LIST = '{"type":"array","items":{"enum":["가","나"]},"minItems":2,"maxItems":4}'


async def _answered(house: House, sampling: SamplingParams) -> Generation:
    async with house.worker():
        asked = await house.ask(sampling=sampling)
        assert await house.node.final(asked) == "done"
    return await house.get(asked)


async def _continued(house: House, whole: Generation, cut: int) -> Generation:
    """The same question, whose first worker died after `cut` tokens."""
    sampling = whole.sampling
    asked = generation(lane=LANE, question=whole.question, listeners=(NODE,), sampling=sampling, seed=whole.seed)
    await house.store.generations.add(asked)
    claimed = await house.store.generations.claim(LANE, "a worker that died")
    assert claimed is not None
    known = whole.token_ids[:cut]
    text = Detokenizer(tiny_tokenizer(), known, stop=sampling.stop).text
    told = None if whole.logprobs is None else whole.logprobs[:cut]
    await house.store.generations.checkpoint(asked.id, claimed.attempt, known, text, "tiny", told)
    house.node.texts[asked.id] = text
    async with house.worker():
        await recovery.sweep(house.store, house.broker, timedelta(seconds=0.5))
        assert await house.node.final(asked) == "done"
    return await house.get(asked)


async def test_an_answer_that_was_cut_at_its_length_says_so(house: House) -> None:
    answered = await _answered(house, GREEDY)

    assert answered.finish_reason == "length"
    assert answered.logprobs is None


async def test_an_answer_of_one_token_tells_which_model_wrote_it(house: House) -> None:
    answered = await _answered(house, replace(GREEDY, max_new_tokens=1))

    assert len(answered.token_ids) == 1 and answered.model_digest


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
async def test_an_answer_ends_before_a_stop_string_on_any_worker(house: House, sampling: SamplingParams) -> None:
    free = await _answered(house, sampling)
    middle = len(free.answer) // 2
    stop = free.answer[middle : middle + 3]
    expected = free.answer[: free.answer.index(stop)]

    stopped = await _answered(house, replace(sampling, stop=("없는 말", stop), logprobs=0))

    assert (stopped.answer, stopped.finish_reason) == (expected, "stop")
    assert house.node.texts[stopped.id] == expected
    assert len(stopped.token_ids) < len(free.token_ids)
    assert stopped.logprobs is not None
    spelled = b"".join(token.bytes for token in stopped.logprobs).decode(errors="ignore")
    assert spelled.startswith(expected)
    assert stop not in spelled[len(expected) :]
    for cut in (1, len(stopped.token_ids) - 1, len(stopped.token_ids)):
        continued = await _continued(house, stopped, cut)
        assert (continued.answer, continued.finish_reason) == (expected, "stop")
        assert continued.token_ids == stopped.token_ids


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
async def test_an_answer_that_was_cut_goes_on_as_if_it_had_not_been(house: House, sampling: SamplingParams) -> None:
    whole = await _answered(house, sampling)
    async with house.worker():
        short = await house.ask(sampling=replace(sampling, max_new_tokens=13), seed=whole.seed)
        assert await house.node.final(short) == "done"
        for _ in range(2):
            longer = replace(continued(await house.get(short)), lane=LANE, listeners=(NODE,), tag=1.0)
            house.node.texts[longer.id] = longer.answer  # as the page that shows it has it
            await house.store.generations.add(longer)
            await house.broker.publish_permit(LANE, GenerateReply(generation_id=longer.id))
            assert await house.node.final(longer) == "done"
            short = longer
    found = await house.get(short)

    assert found.token_ids == whole.token_ids[:39]
    assert (found.continued, found.finish_reason, found.answer_tokens) == (26, "length", 39)
    assert found.answer == expected_text(found.token_ids)
    assert house.node.texts[found.id] == found.answer


async def test_what_had_no_room_in_the_prompt_is_told_with_the_answer(house: House) -> None:
    turns: list[Generation] = []
    for number in range(4):
        parent = turns[-1].id if turns else None
        known = {"conversation_id": turns[0].conversation_id, "user_id": turns[0].user_id} if turns else {}
        turn = generation(
            question=f"질문 {number}", answer="나 다 " * 60, state=GenerationState.DONE, parent_id=parent, **known
        )
        turns.append(turn)
        await house.store.generations.add(turn)
    first = turns[0]
    async with house.worker():
        asked = await house.ask(
            parent_id=turns[-1].id, conversation_id=first.conversation_id, user_id=first.user_id, pins=(first.id,)
        )
        assert await house.node.final(asked) == "done"
    found = await house.get(asked)

    assert 0 < found.left_out < len(turns)
    assert found.prompt_tokens + found.answer_tokens <= CONTEXT_LENGTH


async def test_an_answer_goes_on_until_the_context_is_full_and_then_says_so(house: House) -> None:
    sampling = replace(GREEDY, max_new_tokens=250)
    async with house.worker():
        asked = await house.ask("가" * 100, sampling=sampling)
        assert await house.node.final(asked) == "done"
        while can_go_on(await house.get(asked)):
            asked = replace(continued(await house.get(asked)), lane=LANE, listeners=(NODE,), tag=1.0)
            house.node.texts[asked.id] = asked.answer
            await house.store.generations.add(asked)
            await house.broker.publish_permit(LANE, GenerateReply(generation_id=asked.id))
            assert await house.node.final(asked) == "done"
    found = await house.get(asked)

    assert is_full(found)
    assert found.prompt_tokens + found.answer_tokens == CONTEXT_LENGTH


async def test_penalties_change_an_answer_and_another_worker_continues_it(house: House) -> None:
    free = await _answered(house, GREEDY)

    whole = await _answered(house, replace(GREEDY, frequency_penalty=2.0, presence_penalty=1.0))

    assert len(set(whole.token_ids)) > len(set(free.token_ids))
    for cut in (1, 13, 39):
        assert (await _continued(house, whole, cut)).token_ids == whole.token_ids


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
async def test_an_answer_keeps_to_its_schema_on_any_worker(house: House, sampling: SamplingParams) -> None:
    whole = await _answered(house, replace(sampling, json_schema=LIST))

    assert whole.finish_reason == "stop"
    value = json.loads(whole.answer)
    assert 2 <= len(value) <= 4
    assert set(value) <= {"가", "나"}
    assert whole.answer == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for cut in range(1, len(whole.token_ids) + 1):
        continued = await _continued(house, whole, cut)
        assert (continued.token_ids, continued.answer) == (whole.token_ids, whole.answer)
        assert continued.finish_reason == "stop"


async def test_a_schema_that_cannot_be_kept_fails_its_own_answer(house: House) -> None:
    async with house.worker():
        refused = await house.ask(sampling=replace(GREEDY, json_schema='{"uniqueItems":true}'))
        good = await house.ask()
        assert await house.node.final(refused) == "failed"
        assert await house.node.final(good) == "done"

    found = await house.get(refused)
    assert (found.state, found.error_code) == (GenerationState.FAILED, "schema_unsupported")
    assert "uniqueItems" in str(found.error_facts["reason"])


async def test_logprobs_are_kept_for_every_token_also_across_workers(house: House) -> None:
    whole = await _answered(house, replace(DRAWN, logprobs=3))

    assert whole.logprobs is not None
    assert len(whole.logprobs) == len(whole.token_ids) == 40
    for place, token in enumerate(whole.logprobs):  # each begins where what came before it ends
        before = b"".join(other.bytes for other in whole.logprobs[:place])
        assert whole.answer.startswith(before.decode(errors="ignore"), 0)
        assert token.start == len(before.decode(errors="ignore"))
    sent = [token for frame in house.node.frames if frame.generation_id == whole.id for token in frame.tokens]
    begun = [token for token in whole.logprobs if token.start < len(whole.answer)]
    assert [(token.start, token.spelled) for token in sent] == [(token.start, token.bytes) for token in begun]
    assert all(len(token.top) == 3 for token in whole.logprobs)
    for cut in (1, 20, 39):
        continued = await _continued(house, whole, cut)
        assert continued.logprobs is not None
        assert [token.bytes for token in continued.logprobs] == [token.bytes for token in whole.logprobs]
        assert [token.start for token in continued.logprobs] == [token.start for token in whole.logprobs]
        values = [token.logprob for token in whole.logprobs]
        assert [token.logprob for token in continued.logprobs] == pytest.approx(values, abs=1e-4)
