"""Questions asked while an answer runs: held, asked in order when their turn comes, taken back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState
from shared.ids import new_id
from shared.messages import GenerateReply
from shared.metrics import REFUSALS
from shared.store import Store
from tests.factories import generation
from tests.metric_values import value
from tests.scripted_worker import ScriptedWorker
from tests.waiting import until
from tests.web_visitor import WebVisitor, web_settings
from web.app import create_app
from web.chat.service import MOST_HELD

LANE = "chat.test"
HELD, QUEUED = GenerationState.HELD, GenerationState.QUEUED


async def _echo(generation: Generation) -> AsyncIterator[str]:
    yield f"답({generation.question})"


async def _turns(store: Store) -> list[Generation]:
    documents = await store.generations._generations.find({}, {"_id": 1}).to_list(None)
    found = [await store.generations.get(document["_id"]) for document in documents]
    return sorted((turn for turn in found if turn), key=lambda turn: turn.id)


async def _leaf(store: Store) -> str:
    document = await store.conversations._conversations.find_one({})
    assert document is not None
    return str(document["leaf_id"])


async def _wait_in_line(person: WebVisitor, *messages: str) -> str:
    """Ask the first, and the others behind it; the conversation's path."""
    await person.ask(messages[0])
    path: str = re.findall(r'action="(/chat/[^"/]+)/stop"', person.page)[-1]
    for message in messages[1:]:
        assert (await person.ask(message, path, later="1")).status_code == 303
    return path


async def test_they_are_shown_as_waiting_and_asked_in_order(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    await _wait_in_line(person, "하나", "둘", "셋")
    page, states = person.page, [turn.state for turn in await _turns(store)]
    async with ScriptedWorker(store, memory_broker, LANE, _echo) as worker, asyncio.timeout(10):
        await worker.has_ended(3)
    turns = await _turns(store)

    assert states == [QUEUED, HELD, HELD]
    assert page.count("앞의 답이 끝나면 물어볼게요.") == 2
    assert "이어 묻기" in page
    assert [turn.answer for turn in turns] == ["답(하나)", "답(둘)", "답(셋)"]
    assert [turn.parent_id for turn in turns] == [None, turns[0].id, turns[1].id]
    assert turns[0].finished_at <= turns[1].claimed_at <= turns[2].claimed_at  # type: ignore[operator]


async def test_when_nothing_runs_it_is_asked_at_once(person: WebVisitor, store: Store) -> None:
    path = await _wait_in_line(person, "하나")
    await person.post(f"{path}/stop")
    await person.ask("둘", path, later="1")

    assert [turn.state for turn in await _turns(store)] == [GenerationState.STOPPED, QUEUED]


async def test_only_so_many_wait_and_the_one_too_many_stays_in_its_field(person: WebVisitor, store: Store) -> None:
    path = await _wait_in_line(person, "첫째", *map(str, range(MOST_HELD)))
    response = await person.ask("하나 더", path, later="1")

    assert response.status_code == 422
    assert "하나 더</textarea>" in person.page
    assert len(await _turns(store)) == MOST_HELD + 1


async def test_stopping_stops_what_runs_and_the_next_one_is_asked(person: WebVisitor, store: Store) -> None:
    path = await _wait_in_line(person, "하나", "둘")
    await person.post(f"{path}/stop")

    async def is_let_in() -> bool:
        return [turn.state for turn in await _turns(store)] == [GenerationState.STOPPED, QUEUED]

    assert await until(is_let_in, 10)


async def test_one_in_the_middle_is_taken_back_and_those_behind_move_up(person: WebVisitor, store: Store) -> None:
    path = await _wait_in_line(person, "하나", "둘", "셋")
    first, second, third = await _turns(store)
    await person.post(f"{path}/turns/{second.id}/take-back")
    await person.get(path)
    turns = await _turns(store)

    assert [(turn.question, turn.parent_id) for turn in turns] == [("하나", None), ("셋", first.id)]
    assert await _leaf(store) == third.id
    assert re.findall(r'data-role="user">([^<]*)<', person.page) == ["하나", "셋"]


async def test_the_last_one_is_taken_back_and_what_runs_cannot_be(person: WebVisitor, store: Store) -> None:
    path = await _wait_in_line(person, "하나", "둘")
    first, second = await _turns(store)
    done = await person.post(f"{path}/turns/{second.id}/take-back")
    await person.get(path)
    refused = await person.post(f"{path}/turns/{first.id}/take-back")

    assert (done.status_code, refused.status_code) == (303, 422)
    assert "이미 묻기 시작한 질문이에요." in person.page
    assert await _leaf(store) == first.id
    assert [turn.id for turn in await _turns(store)] == [first.id]


async def test_two_nodes_ask_it_once_and_a_restart_forgets_nothing(
    app: Quart, person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    await _wait_in_line(person, "하나", "둘")
    other = create_app(web_settings(), memory_broker, store, node_id="other")
    async with other.test_app(), ScriptedWorker(store, memory_broker, LANE, _echo) as worker, asyncio.timeout(10):
        await worker.has_ended(2)

    assert [(turn.answer, turn.attempt) for turn in await _turns(store)] == [("답(하나)", 1), ("답(둘)", 1)]


async def test_a_limit_makes_it_wait_and_loses_nothing(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    path = await _wait_in_line(person, "하나", "둘")
    user_id = (await _turns(store))[0].user_id
    for _ in range(4):  # as many as one person may have, through another door
        await store.generations.add(generation(user_id=user_id, lane=LANE, question="밖"))
    refused = value(REFUSALS, code="too_many_answers")
    await person.post(f"{path}/stop")

    async def is_refused() -> bool:
        return value(REFUSALS, code="too_many_answers") > refused

    assert await until(is_refused, 10)
    states = {turn.question: turn.state for turn in await _turns(store)}
    async with ScriptedWorker(store, memory_broker, LANE, _echo) as worker, asyncio.timeout(20):
        for turn in await _turns(store):
            await memory_broker.publish_permit(LANE, GenerateReply(generation_id=turn.id))
        await worker.has_ended(5)

    assert states["둘"] is HELD
    assert "답(둘)" in {turn.answer for turn in await _turns(store)}


@pytest.mark.parametrize("how", ["conversation", "account"])
async def test_what_is_deleted_is_never_asked(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker, how: str
) -> None:
    path = await _wait_in_line(person, "하나", "둘")
    if how == "conversation":
        await person.post(f"{path}/delete")
    else:
        user_id = (await _turns(store))[0].user_id
        assert len(await store.personal.unfinished_ids(user_id)) == 2
        await store.personal.remove(user_id)

    assert await _turns(store) == []
    assert await store.generations.held(10) == []


async def test_nobody_takes_back_a_foreign_question(app: Quart, person: WebVisitor, store: Store) -> None:
    path = await _wait_in_line(person, "하나", "둘")
    second = (await _turns(store))[1]
    other = WebVisitor(app)
    await other.sign_up()
    for address in (f"{path}/turns/{second.id}/take-back", f"{path}/turns/{new_id()}/take-back"):
        assert (await other.post(address, csrf_token=other.csrf_token)).status_code == 404

    assert len(await _turns(store)) == 2
