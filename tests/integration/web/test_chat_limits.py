"""How much one person, and all together, may ask: answers under way, the waiting room, tokens, a full queue."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import Generation
from shared.ids import new_id
from shared.store import Store
from tests.web_visitor import WebVisitor, web_settings
from web.app import create_app

LANE = "chat.test"


async def _turns(store: Store) -> list[Generation]:
    documents = await store.conversations._conversations.find({}).to_list(None)
    of = store.generations.of_conversation
    return [turn for document in documents for turn in await of(document["_id"], document["user_id"])]


async def test_a_person_may_have_so_many_answers_under_way(person: WebVisitor, store: Store) -> None:
    for number in range(4):
        await person.get("/chat")
        assert (await person.ask(f"질문 {number}")).status_code == 303
    await person.get("/chat")
    response = await person.ask("하나 더")

    assert response.status_code == 429
    assert "한 번에 4개까지 물어볼 수 있어요. 약 5초 뒤에" in person.page
    assert "하나 더</textarea>" in person.page
    assert len(await _turns(store)) == 4


async def _form(app: Quart, person: WebVisitor) -> WebVisitor:
    """Another tab of the same browser, at this node, with a question form of its own."""
    tab = WebVisitor(app)
    tab.client.cookie_jar = person.client.cookie_jar
    await tab.get("/chat")
    return tab


@pytest.mark.parametrize("nodes", [1, 2])
async def test_of_sixty_questions_at_the_same_moment_no_more_than_the_limit_are_kept(
    app: Quart, person: WebVisitor, store: Store, memory_broker: MemoryBroker, nodes: int
) -> None:
    apps = [app, *(create_app(web_settings(), memory_broker, store, node_id=f"other{n}") for n in range(1, nodes))]
    tabs = [await _form(apps[number % nodes], person) for number in range(60)]
    responses = await asyncio.gather(*(tab.ask(f"질문 {number}") for number, tab in enumerate(tabs)))

    statuses = [response.status_code for response in responses]
    kept = [turn async for turn in store.generations._generations.find({})]
    assert {*statuses} == {303, 429}
    assert len(kept) == len(await _turns(store)) == statuses.count(303) <= 4
    assert nodes > 1 or len(kept) == 4


async def test_questions_that_came_between_at_other_nodes_are_counted_too(
    person: WebVisitor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person.ask("하나")
    (first,) = await _turns(store)
    add = store.generations.add

    async def add_late(turn: Generation) -> bool:
        for _ in range(3):
            await add(replace(first, id=new_id()))
        return await add(turn)

    monkeypatch.setattr(store.generations, "add", add_late)
    await person.get("/chat")
    response = await person.ask("둘")

    assert response.status_code == 429
    assert await store.generations.unfinished_of_user(first.user_id, 10) == 4
    assert {turn.question for turn in await _turns(store)} == {"하나"}


async def test_above_its_mark_the_waiting_room_takes_those_who_have_no_question_there(
    store: Store, memory_broker: MemoryBroker
) -> None:
    settings = web_settings(web={"bcrypt_rounds": 4, "waiting_room": 2, "answers_per_user": 4})
    app = create_app(settings, memory_broker, store, node_id="node")
    first, second, third = WebVisitor(app), WebVisitor(app), WebVisitor(app)
    for person in (first, second, third):
        await person.sign_up()
    statuses = []
    for person in (first, first, first, second, second, third):
        await person.get("/chat")
        statuses.append((await person.ask("안녕?")).status_code)

    assert statuses == [303, 303, 503, 303, 503, 503]


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [("tokens_per_minute", "1분에 100토큰까지 쓸 수 있어요. 약 "), ("tokens_per_day", "밤 12시에 초기화되니 약 ")],
)
async def test_who_has_used_up_their_tokens_is_told_when_they_may_go_on(
    store: Store, memory_broker: MemoryBroker, limit: str, sentence: str
) -> None:
    settings = web_settings(web={"bcrypt_rounds": 4, limit: 100})
    person = WebVisitor(create_app(settings, memory_broker, store, node_id="node"))
    await person.sign_up()
    assert (await person.ask("하나")).status_code == 303
    (turn,) = await _turns(store)
    await store.usage.add(turn.user_id, 100, datetime.now(UTC))
    await person.get("/chat")

    response = await person.ask("하나 더")

    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= 24 * 3600
    assert sentence in person.page
    assert "하나 더</textarea>" in person.page
    assert len(await _turns(store)) == 1
    await person.get("/usage")
    assert "100 / 100" in person.page


async def test_a_full_waiting_room_says_how_long_it_takes(store: Store, memory_broker: MemoryBroker) -> None:
    await store.workers.beat("busy", LANE, "test", "0", 1, 1, service_s=300.0)
    settings = web_settings(web={"waiting_room": 1}, worker={"stale_after_s": 60.0})
    person = WebVisitor(create_app(settings, memory_broker, store, node_id="node"))
    await person.sign_up()
    await person.ask("하나")
    await person.get("/chat")

    response = await person.ask("하나 더")

    assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
    assert "약 30초 뒤에 다시 보내 주세요." in person.page
    assert "하나 더</textarea>" in person.page
    assert len(await _turns(store)) == 1
