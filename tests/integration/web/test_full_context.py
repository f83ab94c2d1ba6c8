"""A long conversation tells how full its model's context is, and where reading begins; an empty one what it can do."""

from __future__ import annotations

import re

import pytest
from quart import Quart

from shared.chat import Generation, GenerationState, User
from shared.ids import new_id
from shared.store import Store
from tests.factories import generation
from tests.web_visitor import WebVisitor
from web.chat.choice import AdapterChoice, OfferedAdapter
from web.chat.voting import Voting

LANE = "chat.test"


async def _owner(store: Store) -> User:
    (document,) = await store.users._users.find({}).to_list(None)
    user = await store.users.get(document["_id"])
    assert user is not None
    return user


async def _long_conversation(store: Store, **last: object) -> list[Generation]:
    """Four turns that have ended."""
    user = await _owner(store)
    turns: list[Generation] = []
    for number in range(4):
        given: dict[str, object] = {"state": GenerationState.DONE, "question": f"질문{number}", "answer": "답" * 20}
        given |= last if number == 3 else {}
        turn_id = new_id()
        first = turns[0].id if turns else turn_id
        parent = turns[-1].id if turns else None
        turns.append(generation(id=turn_id, conversation_id=first, user_id=user.id, parent_id=parent, **given))
        await store.generations.add(turns[-1])
    await store.conversations.create(turns[0].id, user.id, "긴 이야기", turns[-1].id)
    return turns


@pytest.fixture
async def reading_worker(store: Store) -> None:
    """Asked for before the pages: they look at the line once a second, and first when they start."""
    await store.workers.beat("reads", LANE, "test", "0", 1, 0, context_length=1000)


@pytest.mark.usefixtures("reading_worker")
async def test_what_a_worker_counted_is_shown_and_a_line_stands_where_reading_begins(
    person: WebVisitor, store: Store
) -> None:
    turns = await _long_conversation(store, prompt_tokens=700, answer_tokens=60, left_out=2)
    await person.get(f"/chat/{turns[0].id}")

    assert 'value="76"' in person.page
    assert "기억 76% 참" in person.page
    assert "1000토큰 가운데 마지막 답까지 760토큰을" in person.page
    assert re.findall(r'class="turn( left-out)?" id="turn-([^"]+)"', person.page) == [
        (" left-out", turns[0].id),
        (" left-out", turns[1].id),
        ("", turns[2].id),
        ("", turns[3].id),
    ]
    line, third = person.page.index("앞의 이야기 2번은"), person.page.index(f'id="turn-{turns[2].id}"')
    assert person.page.index(f'id="turn-{turns[1].id}"') < line < third


@pytest.mark.usefixtures("reading_worker")
async def test_what_nobody_counted_is_a_guess_that_says_so(person: WebVisitor, store: Store) -> None:
    turns = await _long_conversation(store)
    await person.get(f"/chat/{turns[0].id}")

    assert "기억 약 8% 참 (어림)" in person.page
    assert "left-out" not in person.page


async def test_without_a_worker_nothing_is_claimed(person: WebVisitor, store: Store) -> None:
    turns = await _long_conversation(store, prompt_tokens=700, answer_tokens=60)
    await person.get(f"/chat/{turns[0].id}")

    assert "<meter" not in person.page


@pytest.mark.parametrize("sees", [True, False])
async def test_an_empty_chat_offers_a_picture_only_to_a_model_with_eyes(app: Quart, store: Store, sees: bool) -> None:
    await store.workers.beat("w", LANE, "test", "0", 1, 0, sees=sees)
    person = WebVisitor(app)
    await person.sign_up()

    assert ('<label class="example" for="attach">' in person.page) is sees
    assert ('id="attach"' in person.page) is sees


@pytest.mark.parametrize("role", ["user", "researcher"])
async def test_an_empty_chat_offers_a_comparison_to_those_who_may(
    person: WebVisitor, store: Store, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    async def offered(choice: AdapterChoice) -> list[OfferedAdapter]:
        return [OfferedAdapter("wallpaper", "wallpaper@0123456789ab", None)]

    monkeypatch.setattr(AdapterChoice, "offered", offered)
    user = await _owner(store)
    await store.users._users.update_one({"_id": user.id}, {"$set": {"role": role}})
    await person.get("/chat")

    assert ('href="/adapters/wallpaper@0123456789ab/try"' in person.page) is (role == "researcher")


async def test_an_empty_chat_offers_documents_and_where_there_is_a_pair_two_answers(
    person: WebVisitor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert '<a class="example" href="/documents">' in person.page
    assert '<a class="example" href="/compare">' not in person.page

    async def can_compare(voting: Voting) -> bool:
        return True

    monkeypatch.setattr(Voting, "can_compare", can_compare)
    await person.get("/chat")

    assert '<a class="example" href="/compare">' in person.page
