"""Taking one's data along, and leaving: all of it is in the file, and nothing of it stays behind."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from quart import Quart, Response

from shared import forgetting
from shared.broker.memory import MemoryBroker
from shared.chat import AccountRole, Generation, GenerationState, Message, Origin, Role, User
from shared.comparisons import Comparison
from shared.errors import StoreUnavailable
from shared.ids import new_id
from shared.store import Store
from shared.store.grants import new_grant
from shared.store.search import Entry
from shared.votes import Vote, VoteValue
from tests.factories import LANE, generation
from tests.integration.web.api.conftest import HELLO, Desk, Program
from tests.web_visitor import PASSWORD, WebVisitor, web_settings
from web.app import create_app

_DAY = timedelta(days=1)
_ADDRESS = "198.51.100.77"
_MARKS = (
    "박표식",
    "표식질문",
    "표식답변",
    "표식열쇠",
    "표식지시",
    "표식응답",
    "표식공유",
    "MarkedBrowser",
    "표식이유",
    "표식평가",
    "표식비교",
    _ADDRESS,
)


class Marked:
    """Somebody who left marks wherever the service keeps something of a person."""

    def __init__(self, visitor: WebVisitor, user: User, key: str) -> None:
        self.visitor, self.user, self.key = visitor, user, key


async def _say(store: Store, turn: Generation, answer: str, state: GenerationState = GenerationState.DONE) -> None:
    claimed = await store.generations.claim(turn.lane, "worker")
    assert claimed is not None and claimed.id == turn.id
    await store.generations.finish(turn.id, claimed.attempt, state, [1], answer)


@pytest.fixture
async def marked(app: Quart, store: Store) -> Marked:
    visitor = WebVisitor(app)
    email = await visitor.sign_up(name="박표식")
    user = await store.users.by_email(email)
    assert user is not None
    await visitor.ask("표식질문")
    (conversation,) = await store.conversations.latest(user.id)
    turn = await store.generations.get(conversation.id)
    assert turn is not None
    await _say(store, turn, "표식답변")
    await store.shares.add(user.id, conversation.id, "표식공유", [turn])
    await store.search.put(Entry(turn.id, conversation.id), user.id, ["표식낱말"])
    value, words = VoteValue.DOWN, "표식평가"
    voted = Vote(turn.id, conversation.id, user.id, value, (), words, "test", None, None, user.created_at)
    await store.votes.put(voted)
    await store.comparisons.add(Comparison(new_id(), user.id, "표식비교", None, "wall@1", user.created_at))
    _, key = await store.keys.create(user.id, "표식열쇠")
    prompt = (Message(Role.USER, "표식지시"),)
    answer = generation(user_id=user.id, origin=Origin.CHAT, prompt=prompt, lane="chat.other")
    await store.generations.add(answer)
    await _say(store, answer, "표식응답")
    await store.sessions.create(new_id(), user.id, _DAY, user_agent="MarkedBrowser", address=_ADDRESS)
    operator = await store.users.create(f"{new_id()}@example.com", "이운영", b"hash", AccountRole.OPERATOR)
    await store.grants.add(new_grant(operator, user.id, "표식이유", 5))
    await store.resets.create(user.id, timedelta(minutes=5))
    await store.second_steps.switch_on(user.id, "sealed", 0, [new_id()])
    await store.usage.add(user.id, 10, user.created_at)
    return Marked(visitor, user, key)


async def _everything(store: Store) -> dict[str, str]:
    """Each collection as text."""
    database = store._database
    return {name: str(await database[name].find({}).to_list(None)) for name in await database.list_collection_names()}


async def _where(store: Store, *marks: str) -> set[str]:
    """The collections that hold one of these."""
    return {name for name, text in (await _everything(store)).items() if any(mark in text for mark in marks)}


async def _delete(marked: Marked, password: str = PASSWORD, code: str = "") -> Response:
    await marked.visitor.get("/account/delete")
    return await marked.visitor.post("/account/delete", old_password=password, code=code)


async def test_the_marks_are_in_every_collection_that_is_about_people(store: Store, marked: Marked) -> None:
    assert await _where(store, marked.user.id) == {
        *("users", "sessions", "keys", "resets", "second_steps", "recovery_codes"),
        *("generations", "conversations", "grants", "usage", "fairness", "search", "shares", "votes", "comparisons"),
    }
    text = "".join((await _everything(store)).values())
    assert [mark for mark in (*_MARKS, marked.user.email) if mark not in text] == []


async def test_nothing_of_a_person_stays(store: Store, marked: Marked) -> None:
    await store.second_steps.switch_off(marked.user.id)
    response = await _delete(marked)

    assert (response.status_code, response.location) == (303, "/account/deleted")
    assert await _where(store, *_MARKS, marked.user.email) == set()
    assert await _where(store, marked.user.id) == {"users", "audit"}
    await forgetting.finish_deletions(store)
    assert await _where(store, marked.user.id) == {"users", "audit"}
    await forgetting.finish_deletions(store, timedelta(0))
    assert await _where(store, marked.user.id) == {"audit"}
    (record,) = await store.audit.last(1)
    assert (record["actor"], record["target"], record["facts"]) == (marked.user.id, marked.user.id, {})


async def test_others_keep_theirs(app: Quart, store: Store, marked: Marked, person: WebVisitor) -> None:
    await person.ask("남의 질문")
    before = await _where(store, "남의 질문")
    await store.second_steps.switch_off(marked.user.id)
    await _delete(marked)

    assert await _where(store, "남의 질문") == before == {"generations", "conversations"}
    assert (await person.get("/chat")).status_code == 200


async def test_who_left_is_out_at_once_everywhere(app: Quart, store: Store, marked: Marked) -> None:
    """Also where nothing but the first write of a deletion was done."""
    await store.users.begin_deletion(marked.user.id)

    assert (await marked.visitor.client.get("/account")).location == "/login?next=/account"
    assert (await Program(app, marked.user.id, marked.key).post("/v1/chat/completions", HELLO)).status_code == 401
    other = WebVisitor(app)
    await other.get("/login")
    assert (await other.post("/login", email=marked.user.email, password=PASSWORD)).status_code == 401
    await other.sign_up()  # the address is free again, and so is every other door
    assert await store.users.set_name(marked.user.id, "박표식") is False
    assert "박표식" not in (await _everything(store))["users"]


async def test_any_node_finishes_a_deletion_that_was_begun(store: Store, marked: Marked) -> None:
    await store.users.begin_deletion(marked.user.id)
    assert await _where(store, *_MARKS) != set()
    await forgetting.finish_deletions(store)

    assert await _where(store, *_MARKS, marked.user.email) == set()


async def test_a_store_that_goes_away_in_the_middle_does_not_undo_it(
    store: Store, marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(user_id: str) -> None:
        raise StoreUnavailable

    await store.second_steps.switch_off(marked.user.id)
    with monkeypatch.context() as patched:
        patched.setattr(store.personal, "remove", away)
        assert (await _delete(marked)).location == "/account/deleted"
    assert (await marked.visitor.client.get("/account")).status_code == 303
    await forgetting.finish_deletions(store)
    assert await _where(store, *_MARKS, marked.user.email) == set()


async def test_what_a_late_request_wrote_goes_too(store: Store, marked: Marked) -> None:
    await store.users.begin_deletion(marked.user.id)
    await forgetting.finish_deletions(store)
    await store.generations.add(generation(user_id=marked.user.id, question="늦은표식"))
    await forgetting.finish_deletions(store, timedelta(0))

    assert await _where(store, "늦은표식") == set()


async def test_running_answers_are_stopped(store: Store, memory_broker: MemoryBroker, person: WebVisitor) -> None:
    desk = Desk(store)
    async with memory_broker.consume_control("w", desk.control), memory_broker.consume_permits(LANE, 8, desk.permit):
        await _stopped_by_deletion(store, person, desk)


async def _stopped_by_deletion(store: Store, person: WebVisitor, desk: Desk) -> None:
    await person.ask("길게 말해 줘")
    running = await desk.claimed()
    await person.get("/account/delete")
    assert (await person.post("/account/delete", old_password=PASSWORD)).status_code == 303

    assert await desk.cancelled() == running.id
    written = await store.generations.checkpoint(running.id, running.attempt, [1], "표식답변", "digest")
    assert not written.is_current
    assert await _where(store, "표식답변") == set()


async def test_a_wrong_password_deletes_nothing(store: Store, marked: Marked) -> None:
    response = await _delete(marked, "틀린 비밀번호입니다요")

    assert response.status_code == 403
    assert re.search(r'id="old_password-error" role="alert">', marked.visitor.page)
    assert await store.users.get(marked.user.id) == marked.user
    assert await store.audit.last(10) == []


async def test_the_second_step_is_asked_for(app: Quart, store: Store) -> None:
    visitor = WebVisitor(app)
    email = await visitor.sign_up()
    await visitor.get("/account/second-step")
    await visitor.post("/account/second-step", old_password=PASSWORD)
    secret = re.findall(r'class="totp-secret">([A-Z2-7 ]+)<', visitor.page)[0].replace(" ", "")
    enrolment = re.findall(r'name="enrolment" value="([^"]+)"', visitor.page)[0]
    code = pyotp.TOTP(secret).now()
    await visitor.post("/account/second-step/on", code=code, enrolment=enrolment)
    await visitor.get("/account/delete")

    assert (await visitor.post("/account/delete", old_password=PASSWORD, code="000000")).status_code == 403
    assert await store.users.by_email(email) is not None
    fresh = pyotp.TOTP(secret).at(time.time(), counter_offset=1)  # that of now is used up
    assert (await visitor.post("/account/delete", old_password=PASSWORD, code=fresh)).status_code == 303
    assert await store.users.by_email(email) is None


async def test_the_form_needs_its_token_and_a_person(person: WebVisitor, visitor: WebVisitor, store: Store) -> None:
    for path in ("/account/delete", "/account/download"):
        assert (await person.post(path, old_password=PASSWORD, csrf_token="0" * 64)).status_code == 403
        await visitor.get("/login")
        assert (await visitor.post(path, old_password=PASSWORD)).status_code == 401
    assert (await visitor.get("/account/delete")).location == "/login?next=/account/delete"
    assert (await visitor.get("/account/deleted")).status_code == 200
    assert (await person.get("/account/deleted")).location == "/account"
    assert len(await store.users.everyone()) == 1


async def _download(visitor: WebVisitor) -> tuple[Response, Any]:
    await visitor.get("/account")
    response = await visitor.client.post("/account/download", form={"csrf_token": visitor.csrf_token})
    return response, json.loads(await response.get_data(as_text=True))


async def test_a_download_has_everything_and_no_secret(store: Store, marked: Marked) -> None:
    response, data = await _download(marked.visitor)

    assert re.fullmatch(r'attachment; filename="nunmal-\d{4}-\d\d-\d\d\.json"', response.headers["Content-Disposition"])
    assert response.headers["Cache-Control"] == "no-store"
    text = await response.get_data(as_text=True)
    assert [mark for mark in (*_MARKS, marked.user.email) if mark not in text] == []
    assert marked.key not in text
    assert not {"password", "digest", "sealed", "hash"} & set(re.findall(r'"(\w+)":', text))
    assert data["account"]["second_step"] == {"recovery_codes_left": 1}
    (conversation,) = data["conversations"]
    (turn,) = conversation["turns"]
    assert (turn["question"], turn["answer"], turn["follows"]) == ("표식질문", "표식답변", None)
    (answer,) = data["api_answers"]
    assert (answer["prompt"], answer["kind"]) == ([{"role": "user", "content": "표식지시"}], "chat.completion")
    assert [key["name"] for key in data["api_keys"]] == ["표식열쇠"]
    assert {row["span"]: row["tokens"] for row in data["used_tokens"]} == {"day": 10, "minute": 10}
    assert [reading["reason"] for reading in data["readings_by_operators"]] == ["표식이유"]
    assert len(data["log_ins"]) == 2


async def test_a_download_of_nothing_and_of_many_turns_in_order(store: Store, person: WebVisitor) -> None:
    _, empty = await _download(person)
    assert (empty["conversations"], empty["api_answers"], empty["used_tokens"]) == ([], [], [])

    (user,) = await store.users.everyone()
    turns = [generation(user_id=user.id, conversation_id="c", question=f"질문 {number}") for number in range(45)]
    turns.sort(key=lambda turn: turn.id)  # those of one millisecond have no order
    for turn in turns:
        await store.generations.add(turn)
    await store.conversations.create("c", user.id, "긴 대화", turns[-1].id)
    await store.generations.add(generation(question="남의 질문"))
    _, data = await _download(person)

    assert [turn["question"] for turn in data["conversations"][0]["turns"]] == [turn.question for turn in turns]


async def test_a_download_holds_a_few_turns_at_a_time(
    store: Store, person: WebVisitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user,) = await store.users.everyone()
    for number in range(45):
        await store.generations.add(generation(user_id=user.id, conversation_id="c", question=f"질문 {number}"))
    await store.conversations.create("c", user.id, "긴 대화", "leaf")
    asked: list[int] = []
    get_many = store.generations.get_many

    async def counted(ids: list[str]) -> dict[str, Generation]:
        asked.append(len(ids))
        return await get_many(ids)

    monkeypatch.setattr(store.generations, "get_many", counted)
    await _download(person)

    assert asked == [20, 20, 5]


async def test_downloads_are_throttled(person: WebVisitor) -> None:
    statuses = []
    for _ in range(7):
        await person.get("/account")
        statuses.append((await person.post("/account/download")).status_code)

    assert statuses[:5] == [200] * 5
    assert statuses[-1] == 429


async def test_the_account_page_tells_what_is_kept_and_leads_on(
    store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    await person.get("/account")
    assert "대화는 지우실 때까지 남아 있어요." in person.page
    assert "30일이 지나면" in person.page
    assert 'href="/notices"' in person.page
    assert 'href="/ops/access"' not in person.page
    (user,) = await store.users.everyone()
    await store.users.set_role(user.id, AccountRole.OPERATOR)
    await person.get("/account")
    assert 'href="/ops/access"' in person.page

    settings = web_settings(retention={"conversation_days": 7, "api_days": 0})
    other = WebVisitor(create_app(settings, memory_broker, store, node_id="other"))
    await other.sign_up()
    await other.get("/account")
    assert "7일이 지나면" in other.page
    assert "계정이 있는 동안" in other.page
