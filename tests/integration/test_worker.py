"""A whole worker on the embedded broker, a real store and a tiny real model: from a permit to the final answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared import metrics, recovery
from shared.chat import GenerationState, SamplingParams
from shared.messages import CancelGeneration, GenerateReply
from shared.metrics import CANCEL_LATENCY, ETA_ERROR
from shared.settings import WorkerSettings
from tests.factories import generation
from tests.metric_values import value
from tests.scripted_engine import ScriptedEngine
from tests.spans import caught
from tests.tiny_models import CONTEXT_LENGTH, VOCABULARY, save_tiny_model, tiny_tokenizer
from tests.worker_house import DRAWN, GREEDY, LANE, NODE, House, expected_text, served
from workers.detokenizer import Detokenizer
from workers.open_model import open_model


async def test_an_answer_is_streamed_stored_and_acknowledged(house: House) -> None:
    async with house.worker():
        asked = await house.ask()
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.state is GenerationState.DONE
    assert len(found.token_ids) == 40
    assert found.answer == house.node.texts[asked.id] == expected_text(found.token_ids)
    assert "\ufffd" not in found.answer
    assert house.node.changes == [(asked.id, "running"), (asked.id, "done")]
    assert found.first_token_at is not None


async def test_sixteen_answers_at_once_all_end_and_share_messages(house: House) -> None:
    async with house.worker(frame_ms=20):
        asked = [await house.ask(f"질문 {number}", sampling=DRAWN, seed=number) for number in range(16)]
        for each in asked:
            assert await house.node.final(each) == "done"

    for each in asked:
        found = await house.get(each)
        assert found.answer == house.node.texts[each.id] == expected_text(found.token_ids)
    assert house.node.messages < len(house.node.frames) + 2 * len(asked), "frames travel together"


async def test_an_answer_does_not_depend_on_who_shares_the_batch(house: House) -> None:
    async with house.worker():
        alone = await house.ask("혼자", sampling=DRAWN, seed=5)
        await house.node.final(alone)
        crowd = [await house.ask(f"질문 {number}", sampling=DRAWN, seed=number) for number in range(8)]
        again = await house.ask("혼자", sampling=DRAWN, seed=5)
        for each in (*crowd, again):
            await house.node.final(each)

    assert (await house.get(again)).answer == (await house.get(alone)).answer


async def test_earlier_turns_are_part_of_the_prompt(house: House) -> None:
    async with house.worker():
        first = await house.ask("첫 질문")
        await house.node.final(first)
        same = {"conversation_id": first.conversation_id, "user_id": first.user_id}
        follows = await house.ask("그리고?", parent_id=first.id, **same)
        fresh = await house.ask("그리고?")
        await house.node.final(follows)
        await house.node.final(fresh)

    assert (await house.get(follows)).answer != (await house.get(fresh)).answer


async def test_stop_ends_the_answer_with_what_it_has(house: House) -> None:
    sampling = SamplingParams(temperature=0.0, max_new_tokens=256)
    async with house.worker():
        asked = await house.ask(sampling=sampling)
        await house.node.until(lambda: len(house.node.texts.get(asked.id, "")) > 3)
        await house.store.generations.request_cancel(asked.id, asked.user_id)
        await house.broker.publish_control(CancelGeneration(generation_id=asked.id), None)
        assert await house.node.final(asked) == "stopped"

    found = await house.get(asked)
    assert 0 < len(found.token_ids) < 256
    assert found.answer == house.node.texts[asked.id] == expected_text(found.token_ids)


async def test_a_stop_gives_the_slot_to_who_waits_and_is_measured(house: House) -> None:
    engine = ScriptedEngine(vocabulary=VOCABULARY, context_length=CONTEXT_LENGTH, stop_ids=frozenset())
    model = served(engine, 200)
    before = value(CANCEL_LATENCY, model_name="tiny")
    async with house.worker(lambda: model, slots=1):
        engine.pause()
        running = await house.ask(sampling=SamplingParams(max_new_tokens=200))
        await house.node.until(lambda: (running.id, "running") in house.node.changes)
        waiting = await house.ask(sampling=SamplingParams(max_new_tokens=5))
        await house.broker.publish_control(CancelGeneration(generation_id=running.id), None)
        assert await house.node.final(running) == "stopped"
        await house.node.until(lambda: (waiting.id, "running") in house.node.changes)
        engine.resume()
        assert await house.node.final(waiting) == "done"

    assert value(CANCEL_LATENCY, model_name="tiny") == before + 1


async def test_the_error_of_a_forecast_is_observed_when_its_turn_comes(house: House) -> None:
    before = value(ETA_ERROR, model_name="tiny")
    async with house.worker():
        asked = await house.ask(forecast_s=0.0)
        await house.ask(forecast_s=None)
        assert await house.node.final(asked) == "done"

    assert value(ETA_ERROR, model_name="tiny") == before + 1


async def test_a_whole_answer_is_measured(house: House) -> None:
    of_model = {"model_name": "tiny"}
    once = (
        *(metrics.TIME_TO_FIRST_TOKEN, metrics.REQUEST_QUEUE_TIME, metrics.REQUEST_PREFILL_TIME),
        *(metrics.REQUEST_DECODE_TIME, metrics.REQUEST_INFERENCE_TIME, metrics.E2E_REQUEST_LATENCY),
        *(metrics.REQUEST_PROMPT_TOKENS, metrics.REQUEST_GENERATION_TOKENS, metrics.REQUEST_PARAMS_MAX_TOKENS),
    )
    before = [value(metric, **of_model) for metric in once]
    ended = value(metrics.REQUEST_SUCCESS, finished_reason="length", **of_model)
    written, between = value(metrics.GENERATION_TOKENS, **of_model), value(metrics.INTER_TOKEN_LATENCY, **of_model)
    async with house.worker():
        asked = await house.ask()
        assert await house.node.final(asked) == "done"
        tokens = len((await house.get(asked)).token_ids)
        assert value(metrics.WORKER_SLOTS, **of_model) == house.settings.worker.slots

    assert [value(metric, **of_model) for metric in once] == [count + 1 for count in before]
    assert value(metrics.REQUEST_SUCCESS, finished_reason="length", **of_model) == ended + 1
    assert value(metrics.GENERATION_TOKENS, **of_model) == written + tokens
    assert value(metrics.INTER_TOKEN_LATENCY, **of_model) == between + tokens - 1


async def test_a_worker_that_an_operator_drains_ends_in_order(house: House) -> None:
    async with house.worker() as worker:
        (alive,) = await house.store.workers.alive(timedelta(seconds=60))
        assert await house.store.workers.ask_to_drain(alive.id)
        await worker.ended(30)

    assert await house.store.workers.alive(timedelta(seconds=60)) == []


async def test_an_answer_is_one_trace_under_its_own_id(house: House) -> None:
    with caught() as spans:
        async with house.worker():
            asked = await house.ask(question="아무도 모르는 이야기")
            assert await house.node.final(asked) == "done"

    ours = spans.of(asked.id)
    assert set(ours) == {"queue", "prompt", "prefill", "decode", "store answer", "chat tiny"}
    starts = [ours[name].start_time for name in ("queue", "prompt", "prefill", "decode", "store answer")]
    assert starts == sorted(starts, key=lambda start: start or 0)
    told = dict(ours["chat tiny"].attributes or {})
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.response.finish_reasons"] == ("length",)
    assert told["gen_ai.usage.output_tokens"] == len((await house.get(asked)).token_ids)
    assert "이야기" not in str([dict(span.attributes or {}) for span in spans.all])


async def test_a_question_for_another_model_is_left_to_others(house: House) -> None:
    async with house.worker():
        other = generation(lane="chat.other-model")
        await house.store.generations.add(other)
        await house.broker.publish_permit("chat.other-model", GenerateReply(generation_id=other.id))
        asked = await house.ask()
        assert await house.node.final(asked) == "done"

    assert (await house.get(other)).attempt == 0


async def test_a_stop_whose_message_was_lost_is_noticed_at_the_next_checkpoint(house: House) -> None:
    async with house.worker():
        asked = await house.ask(sampling=SamplingParams(temperature=0.0, max_new_tokens=256))
        await house.node.until(lambda: bool(house.node.texts.get(asked.id)))
        await house.store.generations.request_cancel(asked.id, asked.user_id)

        assert await house.node.final(asked) == "stopped"


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
@pytest.mark.parametrize("cut", [1, 2, 7, 20, 39])
async def test_another_worker_continues_at_any_token_with_the_same_text(
    house: House, sampling: SamplingParams, cut: int
) -> None:
    async with house.worker():
        whole = await house.ask(sampling=sampling)
        await house.node.final(whole)
    complete = await house.get(whole)

    asked = generation(lane=LANE, question=whole.question, listeners=(NODE,), sampling=sampling, seed=whole.seed)
    await house.store.generations.add(asked)
    claimed = await house.store.generations.claim(LANE, "a worker that died")
    assert claimed is not None
    known = complete.token_ids[:cut]
    text = Detokenizer(tiny_tokenizer(), known).text
    await house.store.generations.checkpoint(asked.id, claimed.attempt, known, text, "tiny")
    is_more_to_come = complete.answer != text  # the last tokens may hold no text; the final document tells that
    house.node.texts[asked.id] = text + "보였지만 저장되지 않은 글" * is_more_to_come  # people saw more than was kept
    async with house.worker():
        await recovery.sweep(house.store, house.broker, timedelta(seconds=0.5))
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.token_ids == complete.token_ids
    assert found.answer == complete.answer == house.node.texts[asked.id]
    assert found.attempt == 2


async def test_a_model_directory_serves_as_it_came(house: House, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = save_tiny_model(tmp_path_factory.mktemp("model"))

    async with house.worker(lambda: open_model(str(directory), "tiny", WorkerSettings(slots=4, threads=1))):
        asked = await house.ask()
        assert await house.node.final(asked) == "done"

    found = await house.get(asked)
    assert found.answer == expected_text(found.token_ids)
