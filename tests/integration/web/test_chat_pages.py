"""Conversations through their pages: ask, stop, rename, delete, and everything that must not happen."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState
from shared.errors import BrokerUnavailable, QueueFull
from shared.ids import new_id
from shared.store import Store
from tests.scripted_worker import Say, ScriptedWorker, Unsayable
from tests.web_visitor import WebVisitor, parse_events, text_of
from web.chat.hub import Hub

LANE = "chat.test"


def _saying(*pieces: str) -> Say:
    async def say(generation: Generation) -> AsyncIterator[str]:
        for piece in pieces:
            yield piece

    return say


async def _endless(generation: Generation) -> AsyncIterator[str]:
    yield "끝나지 않는 "
    await asyncio.Event().wait()


async def _failing(generation: Generation) -> AsyncIterator[str]:
    yield "여기까지"
    raise Unsayable


async def _conversation(store: Store) -> dict[str, str]:
    documents = await store.conversations._conversations.find({}).to_list(None)
    assert len(documents) == 1
    return dict(documents[0])


async def _turns(store: Store) -> list[Generation]:
    documents = await store.conversations._conversations.find({}).to_list(None)
    of = store.generations.of_conversation
    return [turn for document in documents for turn in await of(document["_id"], document["user_id"])]


async def _stream(visitor: WebVisitor, **headers: str) -> str:
    async with asyncio.timeout(10):
        response = await visitor.get(visitor.stream_url, headers=headers)
        return str(await response.get_data(as_text=True))


async def test_the_first_message_moves_to_its_conversation_and_is_answered(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    response = await person.ask("안녕하세요?")
    conversation = await _conversation(store)
    async with ScriptedWorker(store, memory_broker, LANE, _saying("반가", "워요. **한글(Hangul)**은 ", "글자예요.")):
        events = parse_events(await _stream(person))
    await person.get(f"/chat/{conversation['_id']}")

    assert response.location == f"/chat/{conversation['_id']}"
    assert conversation["title"] == "안녕하세요?"
    assert events[-1].name == "done"
    assert events[-1].data["state"] == "done"
    assert "<strong>한글(Hangul)</strong>은" in events[-1].data["html"]
    assert 'data-state="done"><p>반가워요.' in person.page


@pytest.fixture
async def busy_worker(store: Store) -> None:
    """Asked for before the pages: they look at the line once a second, and first when they start."""
    await store.workers.beat("busy", LANE, "test", "0", 1, 1, service_s=90.0)


@pytest.mark.usefixtures("busy_worker")
async def test_a_waiting_answer_is_empty_and_its_line_stands_beside_it(person: WebVisitor) -> None:
    await person.ask("하나")
    first = person.page
    await person.get("/chat")
    await person.ask("둘")

    assert re.search(
        r'data-note>대기 1번째, 약 2분</p>\s*<div class="answer" data-role="assistant" data-state="queued"></div>',
        first,
    )
    assert "대기 2번째, 약 3분" in person.page


async def test_without_a_worker_the_page_says_so_and_the_message_is_answered_when_one_comes(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    await person.ask("아무도 없나요?")
    page = person.page
    stream = asyncio.create_task(_stream(person))
    async with ScriptedWorker(store, memory_broker, LANE, _saying("이제 왔어요.")):
        events = parse_events(await stream)

    assert "준비되는 대로 답할게요." in page
    assert "<p>이제 왔어요.</p>" in events[-1].data["html"]


async def test_the_stream_itself_says_that_no_worker_is_there(app: Quart, person: WebVisitor) -> None:
    await person.ask("아무도 없나요?")
    async with asyncio.timeout(5), person.client.request(person.stream_url) as connection:
        await connection.send_complete()
        body = b""
        while b"event: state" not in body or not body.endswith(b"\n\n"):
            body += await connection.receive()
        await connection.disconnect()

    event = parse_events(body.decode())[0]
    assert event.data["state"] == "queued"
    assert "준비되는 대로" in event.data["note"]


async def test_the_same_form_sent_twice_is_one_question(person: WebVisitor, store: Store) -> None:
    form = {"generation_id": person.generation_id, "csrf_token": person.csrf_token}
    first = await person.post("/chat", message="한 번만", **form)
    second = await person.post("/chat", message="한 번만", **form)

    assert first.location == second.location
    assert len(await _turns(store)) == 1


async def test_the_same_form_sent_twice_at_once_is_one_question(person: WebVisitor, store: Store) -> None:
    form = {"generation_id": person.generation_id, "csrf_token": person.csrf_token}
    answers = await asyncio.gather(*(person.post("/chat", message="한 번만", **form) for _ in range(4)))

    assert {answer.location for answer in answers} == {f"/chat/{form['generation_id']}"}
    assert len(await _turns(store)) == 1


@pytest.mark.parametrize("generation_id", ["x", "../x", "0" * 36, "\ufffd"])
async def test_an_id_that_is_none_is_refused(person: WebVisitor, store: Store, generation_id: str) -> None:
    response = await person.ask("안녕", generation_id=generation_id)

    assert response.status_code == 400
    assert await _turns(store) == []


async def test_nobody_can_touch_a_foreign_question_by_its_id(app: Quart, person: WebVisitor, store: Store) -> None:
    await person.ask("내 질문")
    theirs = (await _turns(store))[0]
    other = WebVisitor(app)
    await other.sign_up()
    response = await other.ask("남의 것을 덮어쓰기", generation_id=theirs.id)

    assert response.status_code == 404
    assert (await _turns(store)) == [theirs]


async def test_a_foreign_conversation_looks_like_an_unknown_one(app: Quart, person: WebVisitor, store: Store) -> None:
    await person.ask("비밀 이야기")
    turn = (await _turns(store))[0]
    other = WebVisitor(app)
    await other.sign_up()
    token = other.csrf_token
    pages = []
    for conversation_id in (turn.conversation_id, new_id()):
        base = f"/chat/{conversation_id}"
        for path in (base, f"{base}/delete", f"{base}/stream/{turn.id}"):
            assert (await other.get(path)).status_code == 404
            pages.append(re.sub(r'value="[^"]*"', "", other.page))
        for path in (base, f"{base}/stop", f"{base}/rename", f"{base}/delete"):
            response = await other.post(path, csrf_token=token, message="훔쳐보기", title="훔친 제목")
            assert response.status_code == 404

    assert len(set(pages)) == 1
    assert "비밀" not in pages[0]
    assert await _turns(store) == [turn]


async def test_while_an_answer_runs_another_message_is_refused_and_kept(person: WebVisitor, store: Store) -> None:
    await person.ask("첫째")
    path = f"/chat/{(await _conversation(store))['_id']}"
    response = await person.ask("둘째 <b>질문</b>", path)

    assert response.status_code == 409
    assert "둘째 &lt;b&gt;질문&lt;/b&gt;</textarea>" in person.page
    assert "쓰신 글은 그대로 있어요." in person.page
    assert [turn.question for turn in await _turns(store)] == ["첫째"]


async def test_of_two_questions_asked_at_once_in_two_tabs_one_wins(
    app: Quart, person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, _saying("네.")):
        await person.ask("첫째")
        await _stream(person)
    path = f"/chat/{(await _conversation(store))['_id']}"
    token = person.csrf_token
    answers = await asyncio.gather(
        *(person.post(path, csrf_token=token, generation_id=new_id(), message=f"탭 {tab}") for tab in range(3))
    )
    turns = await _turns(store)

    assert sorted(answer.status_code for answer in answers) == [303, 409, 409]
    assert len(turns) == 2
    assert turns[1].parent_id == turns[0].id


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_full_queue_takes_the_question_back_and_keeps_what_was_typed(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    path, before = "/chat", []
    if not is_first:
        async with ScriptedWorker(store, memory_broker, LANE, _saying("네.")):
            await person.ask("첫째")
            await _stream(person)
        path, before = f"/chat/{(await _conversation(store))['_id']}", await _turns(store)

    async def full(*args: object) -> None:
        raise QueueFull

    monkeypatch.setattr(memory_broker, "publish_permit", full)
    response = await person.ask("꽉 찼을 때", path)

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert "꽉 찼을 때</textarea>" in person.page
    assert await _turns(store) == before

    monkeypatch.undo()
    assert (await person.ask("다시", path)).status_code == 303


async def test_a_question_refused_and_sent_again_is_answered(
    app: Quart, person: WebVisitor, store: Store, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node still watches for the first one, which it knows to be gone."""
    generation_id = person.generation_id
    hub: Hub = app.extensions["nunmal_hub"]

    async def full(*args: object) -> None:
        raise QueueFull

    monkeypatch.setattr(memory_broker, "publish_permit", full)
    assert (await person.ask("꽉 찼을 때")).status_code == 503
    for watched in hub._watched.values():
        watched.answer.apply_document(await store.generations.get(generation_id))
    monkeypatch.undo()

    assert (await person.ask("다시", generation_id=generation_id)).status_code == 303
    async with ScriptedWorker(store, memory_broker, LANE, _saying("네.")):
        events = parse_events(await _stream(person))

    assert events[-1].data["state"] == "done"


async def test_without_a_broker_the_question_is_kept(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*args: object) -> None:
        raise BrokerUnavailable

    monkeypatch.setattr(memory_broker, "publish_permit", away)
    response = await person.ask("기다릴게요")

    assert response.status_code == 303
    assert [turn.state for turn in await _turns(store)] == [GenerationState.QUEUED]


async def test_a_question_is_carried_through_when_its_browser_leaves(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_adding, may_add, published, placed = (asyncio.Event() for _ in range(4))
    add, publish, create = store.generations.add, memory_broker.publish_permit, store.conversations.create

    async def slow_add(generation: Generation) -> bool:
        is_adding.set()
        await may_add.wait()
        return await add(generation)

    async def seen_publish(*args: object) -> None:
        await publish(*args)  # type: ignore[arg-type]
        published.set()

    async def seen_create(*args: object) -> None:
        await create(*args)  # type: ignore[arg-type]
        placed.set()

    monkeypatch.setattr(store.conversations, "create", seen_create)
    monkeypatch.setattr(store.generations, "add", slow_add)
    monkeypatch.setattr(memory_broker, "publish_permit", seen_publish)
    posting = asyncio.create_task(person.ask("보내고 바로 닫기"))
    async with asyncio.timeout(5):
        await is_adding.wait()
        posting.cancel()
        await asyncio.wait([posting])
        may_add.set()
        await published.wait()
        await placed.wait()

    assert [turn.question for turn in await _turns(store)] == ["보내고 바로 닫기"]


async def test_a_waiting_answer_is_stopped_at_once(person: WebVisitor, store: Store) -> None:
    await person.ask("멈출 질문")
    path = f"/chat/{(await _conversation(store))['_id']}"
    stream = asyncio.create_task(_stream(person))
    await person.post(f"{path}/stop")
    events = parse_events(await stream)
    await person.get(path)

    assert events[-1].data == {"state": "stopped", "html": "", "note": "시작하기 전에 멈췄어요."}
    assert 'data-state="stopped"></div>' in person.page
    assert (await person.ask("다음 질문", path)).status_code == 303


async def test_a_running_answer_is_stopped_and_keeps_what_it_has(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    await person.ask("멈출 질문")
    path = f"/chat/{(await _conversation(store))['_id']}"
    async with ScriptedWorker(store, memory_broker, LANE, _endless) as worker, asyncio.timeout(10):
        stream = asyncio.create_task(_stream(person))
        await worker.has_stored(1)
        await person.post(f"{path}/stop")
        events = parse_events(await stream)

    assert events[-1].data["state"] == "stopped"
    assert "끝나지 않는" in events[-1].data["html"]
    assert events[-1].data["note"] == "여기서 멈췄어요."


async def test_a_failed_answer_says_why(person: WebVisitor, store: Store, memory_broker: MemoryBroker) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, _failing):
        await person.ask("실패할 질문")
        events = parse_events(await _stream(person))
    await person.get(f"/chat/{(await _conversation(store))['_id']}")

    assert events[-1].data["state"] == "failed"
    assert events[-1].data["note"] == "답을 쓰다가 문제가 생겼어요. 다시 물어봐 주세요."
    assert events[-1].data["note"] in person.page


async def test_a_conversation_is_renamed(person: WebVisitor, store: Store) -> None:
    await person.ask("원래 제목")
    path = f"/chat/{(await _conversation(store))['_id']}"
    await person.post(f"{path}/rename", title="  새\n제목 ")
    renamed = await _conversation(store)
    await person.get(path)
    await person.post(f"{path}/rename", title="   ")

    assert renamed["title"] == "새 제목"
    assert "<h1>새 제목</h1>" in person.page
    assert (await _conversation(store))["title"] == "새 제목"


async def test_deleting_asks_first_stops_what_runs_and_forgets_everything(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    await person.ask("지울 이야기")
    path = f"/chat/{(await _conversation(store))['_id']}"
    async with ScriptedWorker(store, memory_broker, LANE, _endless) as worker, asyncio.timeout(10):
        stream = asyncio.create_task(_stream(person))
        await worker.has_stored(1)
        await person.get(f"{path}/delete")
        asked = person.page
        response = await person.post(f"{path}/delete")
        events = parse_events(await stream)

    assert "이 대화를 지울까요?" in asked
    assert response.location == "/chat"
    assert events[-1].data["state"] == "stopped"
    assert await _turns(store) == []
    assert (await person.get(path)).status_code == 404


async def test_who_is_not_logged_in_is_led_to_log_in_or_told(visitor: WebVisitor) -> None:
    conversation_id = new_id()
    await visitor.get("/login")
    token = visitor.csrf_token

    assert (await visitor.get("/chat")).location == "/login?next=/chat"
    assert (await visitor.get(f"/chat/{conversation_id}")).location == f"/login?next=/chat/{conversation_id}"
    assert (await visitor.get(f"/chat/{conversation_id}/stream/{conversation_id}")).status_code == 401
    assert (await visitor.post("/chat", csrf_token=token, message="안녕")).status_code == 401
    assert (await visitor.post(f"/chat/{conversation_id}/stop", csrf_token=token)).status_code == 401


async def test_what_a_person_writes_is_never_markup(person: WebVisitor) -> None:
    await person.ask("<script>alert(1)</script>")

    assert "<script>alert" not in person.page
    assert '<div class="question" data-role="user">&lt;script&gt;alert(1)&lt;/script&gt;</div>' in person.page


async def test_a_draft_that_begins_with_an_empty_line_survives(person: WebVisitor, store: Store) -> None:
    await person.ask("첫째")
    await person.ask("\n\n둘째", f"/chat/{(await _conversation(store))['_id']}")

    assert ">\n\n\n둘째</textarea>" in person.page


async def test_the_welcome_says_which_model_answers(person: WebVisitor) -> None:
    await person.get("/chat")

    assert "지금 test 모델이 답해요." in person.page


async def test_a_page_in_mid_answer_and_its_stream_fit_together(
    person: WebVisitor, store: Store, memory_broker: MemoryBroker
) -> None:
    """The page shows the checkpoint; the stream goes on from exactly there."""
    may_end = asyncio.Event()
    answer = "하나\n\n둘 🙂 셋\n\n넷 다섯"

    async def say(generation: Generation) -> AsyncIterator[str]:
        for character in answer[:11]:
            yield character
        await may_end.wait()
        for character in answer[11:]:
            yield character

    async with ScriptedWorker(store, memory_broker, LANE, say) as worker, asyncio.timeout(10):
        await person.ask("이어 보기")
        path = f"/chat/{(await _conversation(store))['_id']}"
        await worker.has_stored(11)
        await person.get(path)
        page, url = person.page, person.stream_url
        first = asyncio.create_task(_stream(person))
        second = asyncio.create_task(person.get(url.split("?")[0], headers={"Last-Event-ID": "1.5"}))
        may_end.set()
        events = parse_events(await first)
        resumed = parse_events(await (await second).get_data(as_text=True))

    assert '<div class="block" data-start="0" data-end="4"><p>하나</p>\n</div>' in page
    assert url.endswith("?from=1.11")
    assert answer.startswith(text_of(events, answer[:11]))  # `done` may overtake the last text
    assert answer.startswith(text_of(resumed, answer[:5]))
    assert events[-1].data == resumed[-1].data
    assert events[-1].data["html"].endswith("<p>넷 다섯</p>\n")
