"""Branches of a conversation through its forms: ask and answer anew, go on, look at another branch, pin."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import Conversation, Generation, GenerationState
from shared.ids import new_id
from shared.store import Store
from tests.multipart import CONTENT_TYPE, multipart
from tests.picture_files import png
from tests.scripted_worker import ScriptedWorker
from tests.web_visitor import WebVisitor, parse_events
from web.chat.branches import MOST_PINS

LANE = "chat.test"


async def _echo(generation: Generation) -> AsyncIterator[str]:
    yield f"답({generation.question})"


async def _endless(generation: Generation) -> AsyncIterator[str]:
    yield " 그리고" if generation.answer else "처음"
    await asyncio.Event().wait()


async def _all(store: Store) -> list[Generation]:
    documents = await store.conversations._conversations.find({}).to_list(None)
    of = store.generations.of_conversation
    return [turn for document in documents for turn in await of(document["_id"], document["user_id"])]


async def _conversation(store: Store) -> Conversation:
    document = await store.conversations._conversations.find_one({})
    assert document is not None
    found = await store.conversations.get(document["_id"], document["user_id"])
    assert found is not None
    return found


async def _stream(visitor: WebVisitor) -> str:
    async with asyncio.timeout(10):
        response = await visitor.get(visitor.stream_url)
        return str(await response.get_data(as_text=True))


async def _deed(visitor: WebVisitor, turn_id: str, deed: str, **fields: str) -> int:
    """Press a button of a turn, and follow to the page it leads to."""
    conversation = re.findall(r'action="(/chat/[^"/]+)/stop"', visitor.page)[-1]
    response = await visitor.post(f"{conversation}/turns/{turn_id}/{deed}", **fields)
    if response.status_code == 303:
        await visitor.get((response.location or "").partition("#")[0])
    return response.status_code


def _shown(visitor: WebVisitor) -> list[str]:
    return re.findall(r'data-role="user">([^<]*)<', visitor.page)


async def _talk(person: WebVisitor, store: Store) -> None:
    """Two questions and their answers, on the page seen last."""
    await person.ask("하나")
    await _stream(person)
    path = f"/chat/{(await _conversation(store)).id}"
    await person.ask("둘", path)
    await _stream(person)
    await person.get(path)


@pytest.fixture
async def talked(person: WebVisitor, store: Store, memory_broker: MemoryBroker) -> AsyncIterator[WebVisitor]:
    """Somebody who has asked two questions and got both answers, before a page that shows them."""
    async with ScriptedWorker(store, memory_broker, LANE, _echo):
        await _talk(person, store)
        yield person


async def test_an_edited_question_is_a_sibling_and_the_old_branch_can_be_seen_again(
    talked: WebVisitor, store: Store
) -> None:
    first, second = await _all(store)
    assert await _deed(talked, first.id, "edit", message="하나를 고침") == 303
    await _stream(talked)
    edited = _shown(talked)
    assert '<span aria-hidden="true">2/2</span><span class="visually-hidden">2개 가운데 2번째</span>' in talked.page

    assert await _deed(talked, first.id, "show") == 303
    turns = await _all(store)

    assert edited == ["하나를 고침"]
    assert _shown(talked) == ["하나", "둘"]
    assert "1/2" in talked.page
    assert (await _conversation(store)).leaf_id == second.id
    assert [(turn.parent_id, turn.question) for turn in turns] == [
        (None, "하나"),
        (first.id, "둘"),
        (None, "하나를 고침"),
    ]
    assert (await _conversation(store)).title == "하나"


async def test_an_answer_is_given_anew_with_another_seed(talked: WebVisitor, store: Store) -> None:
    _, second = await _all(store)
    await _deed(talked, second.id, "regenerate")
    await _stream(talked)
    again = (await _all(store))[-1]

    assert (again.question, again.parent_id, again.state) == ("둘", second.parent_id, GenerationState.DONE)
    assert again.seed != second.seed
    assert _shown(talked) == ["하나", "둘"]
    assert "2/2" in talked.page


async def test_the_switcher_leads_to_the_branch_that_was_used_last(talked: WebVisitor, store: Store) -> None:
    first, second = await _all(store)
    await _deed(talked, first.id, "regenerate")
    await _stream(talked)
    path = f"/chat/{first.conversation_id}"
    await talked.get(path)
    await talked.ask("셋", path)
    await _stream(talked)
    await _deed(talked, second.id, "regenerate")
    await _stream(talked)
    newest = (await _all(store))[-1]

    other = next(turn for turn in await _all(store) if turn.parent_id is None and turn.id != first.id)
    await _deed(talked, other.id, "show")
    assert _shown(talked) == ["하나", "셋"]
    await _deed(talked, first.id, "show")
    assert _shown(talked) == ["하나", "둘"]
    assert (await _conversation(store)).leaf_id == newest.id


async def test_looking_at_another_branch_is_no_use_of_the_conversation(talked: WebVisitor, store: Store) -> None:
    first, _ = await _all(store)
    before = (await _conversation(store)).updated_at
    await _deed(talked, first.id, "show")

    assert (await _conversation(store)).updated_at == before


async def test_a_stopped_answer_goes_on_from_its_own_tokens(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, _endless) as worker, asyncio.timeout(10):
        await person.ask("길게 말해 주세요")
        path = f"/chat/{(await _conversation(store)).id}"
        await worker.has_stored(2)
        await person.post(f"{path}/stop")
        await worker.has_ended()
        await person.get(path)
        stopped = person.page
        (first,) = await _all(store)
        await _deed(person, first.id, "continue")
        stream = asyncio.create_task(_stream(person))
        await worker.has_stored(5)
        await person.post(f"{path}/stop")
        events = parse_events(await stream)
    kept, longer = await _all(store)

    assert f'formaction="{path}/turns/{first.id}/continue"' in stopped
    assert "data-cut" in stopped
    assert (kept.answer, longer.answer) == ("처음", "처음 그리고")
    assert (longer.seed, longer.continued, longer.parent_id) == (first.seed, 2, None)
    assert events[-1].data["can_go_on"]


async def test_a_whole_answer_does_not_go_on(talked: WebVisitor, store: Store) -> None:
    _, second = await _all(store)
    assert await _deed(talked, second.id, "continue") == 422

    assert "이미 끝까지 쓴 답이에요." in talked.page
    assert len(await _all(store)) == 2


@pytest.mark.parametrize("deed", ["regenerate", "edit", "continue"])
async def test_while_an_answer_runs_nothing_is_asked_anew(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker, deed: str
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, _endless) as worker, asyncio.timeout(10):
        await person.ask("하나")
        path = f"/chat/{(await _conversation(store)).id}"
        await worker.has_stored(2)
        await person.post(f"{path}/stop")
        await worker.has_ended()
        await person.get(path)
        await person.ask("둘", path)
        status = await _deed(person, (await _all(store))[0].id, deed, message="고친 <b>질문</b>")

    assert status == 409
    assert "아직 앞의 답을 쓰고 있어요." in person.page
    assert len(await _all(store)) == 2
    if deed == "edit":
        assert "고친 &lt;b&gt;질문&lt;/b&gt;</textarea>" in person.page


@pytest.mark.parametrize("message", ["  \n", "가" * 8001])
async def test_an_edit_that_is_refused_keeps_what_was_typed(talked: WebVisitor, store: Store, message: str) -> None:
    first, _ = await _all(store)
    status = await _deed(talked, first.id, "edit", message=message)

    assert status in (413, 422)
    assert 'role="alert" data-sentence>' in talked.page
    assert f"{message}</textarea>" in talked.page
    assert len(await _all(store)) == 2


async def test_pictures_stay_with_an_edited_question(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, _echo):
        body = multipart(
            [
                ("csrf_token", person.csrf_token),
                ("generation_id", person.generation_id),
                ("message", "이게 뭐예요?"),
                ("pictures", "a.png", png()),
            ]
        )
        response = await person.post_raw("/chat", body, CONTENT_TYPE)
        await person.get(response.location or "")
        await _stream(person)
        (first,) = await _all(store)
        await _deed(person, first.id, "edit", message="무슨 색이에요?")
        await _stream(person)
    _, edited = await _all(store)

    assert edited.pictures == first.pictures
    assert len(first.pictures) == 1


async def test_of_edits_and_questions_at_once_one_wins_and_no_turn_is_lost(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, _echo):
        await _talk(person, store)
    first, second = await _all(store)
    path, token = f"/chat/{first.conversation_id}", person.csrf_token
    answers = await asyncio.gather(
        person.post(f"{path}/turns/{first.id}/edit", csrf_token=token, message="고침"),
        person.post(f"{path}/turns/{second.id}/regenerate", csrf_token=token),
        person.post(path, csrf_token=token, generation_id=new_id(), message="셋"),
    )
    turns, conversation = await _all(store), await _conversation(store)

    assert sorted(answer.status_code for answer in answers) == [303, 409, 409]
    assert len(turns) == 3
    assert conversation.leaf_id == turns[-1].id


async def test_switching_and_asking_at_once_leaves_every_turn_within_reach(talked: WebVisitor, store: Store) -> None:
    first, second = await _all(store)
    await _deed(talked, second.id, "regenerate")
    await _stream(talked)
    path, token = f"/chat/{first.conversation_id}", talked.csrf_token
    answers = await asyncio.gather(
        *(talked.post(f"{path}/turns/{second.id}/show", csrf_token=token) for _ in range(3)),
        talked.post(path, csrf_token=token, generation_id=new_id(), message="셋"),
    )
    turns, conversation = await _all(store), await _conversation(store)

    assert {answer.status_code for answer in answers} <= {303, 409}
    assert [answer.status_code for answer in answers[:3]] == [303] * 3
    if answers[3].status_code == 303:
        assert len(turns) == 4
    else:  # the branch was left before the question was kept, or after: then it was stopped, if nobody was faster
        stopped, answered = (GenerationState.STOPPED, ""), (GenerationState.DONE, "답(셋)")
        assert [(turn.state, turn.answer) for turn in turns[3:]] in ([], [stopped], [answered])
    assert conversation.leaf_id in {turn.id for turn in turns}


async def test_a_pinned_turn_is_told_to_what_is_asked_next(talked: WebVisitor, store: Store) -> None:
    first, second = await _all(store)
    path = f"/chat/{first.conversation_id}"
    await _deed(talked, first.id, "pin", pinned="1")
    pinned = talked.page
    await talked.ask("셋", path)
    await _stream(talked)
    await _deed(talked, first.id, "pin", pinned="0")

    assert pinned.count('aria-pressed="true"') == 1
    assert (await _all(store))[-1].pins == (first.id,)
    assert (await _conversation(store)).pins == ()
    assert second.pins == ()


async def test_only_so_many_turns_are_pinned(talked: WebVisitor, store: Store) -> None:
    first, _ = await _all(store)
    await store.conversations.pin(first.conversation_id, first.user_id, [new_id() for _ in range(MOST_PINS)])
    assert await _deed(talked, first.id, "pin", pinned="1") == 422

    assert f"{MOST_PINS}개까지 고정할 수 있어요." in talked.page


async def test_an_answer_is_given_as_it_was_written_and_quoted(talked: WebVisitor, store: Store) -> None:
    first, _ = await _all(store)
    path = f"/chat/{first.conversation_id}"
    answer = await talked.get(f"{path}/turns/{first.id}/answer")
    await talked.get(f"{path}?quote={first.id}")

    assert answer.content_type == "text/plain; charset=utf-8"
    assert await answer.get_data(as_text=True) == "답(하나)"
    assert "&gt; 답(하나)\n\n</textarea>" in talked.page


_DEEDS = ("edit", "regenerate", "continue", "show", "pin")


async def test_foreign_unknown_and_misplaced_turns_look_the_same(app: Quart, talked: WebVisitor, store: Store) -> None:
    first, _ = await _all(store)
    other = WebVisitor(app)
    await other.sign_up()
    await other.ask("내 대화")
    mine = re.findall(r'action="(/chat/[^"/]+)/stop"', other.page)[-1]
    token = other.csrf_token
    theirs = f"/chat/{first.conversation_id}"
    for page, turn_id in ((theirs, first.id), (mine, first.id), (mine, new_id()), (mine, "x"), (theirs, new_id())):
        for deed in _DEEDS:
            response = await other.post(
                f"{page}/turns/{turn_id}/{deed}", csrf_token=token, message="훔치기", pinned="1"
            )
            assert response.status_code == 404, (page, turn_id, deed)
        for path in (f"{page}/turns/{turn_id}/edit", f"{page}/turns/{turn_id}/answer", f"{page}?quote={turn_id}"):
            assert (await other.get(path)).status_code == 404

    assert len(await _all(store)) == 3
    assert (await store.conversations.get(first.conversation_id, first.user_id) or pytest.fail()).pins == ()


async def test_nothing_is_done_without_the_token_of_the_page(talked: WebVisitor, store: Store) -> None:
    first, _ = await _all(store)
    for deed in _DEEDS:
        response = await talked.post(
            f"/chat/{first.conversation_id}/turns/{first.id}/{deed}", csrf_token="x", message="고침", pinned="1"
        )
        assert response.status_code == 403

    assert len(await _all(store)) == 2
