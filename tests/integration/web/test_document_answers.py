"""Answers that a model writes from documents: asked, followed, cited claim by claim, stopped, removed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from bs4 import BeautifulSoup, Tag
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState, JobClass, Message, Origin
from shared.forgetting import forget_old
from shared.organising_errors import SearchUnavailable
from shared.scopes import SCOPES
from shared.settings import RetentionSettings
from shared.store import Store
from tests.documents import PAGES, pdf_of
from tests.factories import LANE
from tests.ingest_house import ended, ingest_worker
from tests.integration.web.api.conftest import Program
from tests.integration.web.test_documents_pages import _upload
from tests.local_analyser import LocalAnalyser
from tests.scripted_worker import ScriptedWorker
from tests.web_visitor import WebVisitor, parse_events, web_settings
from web.app import create_app

WRITING = {"bcrypt_rounds": 4, "answers_per_user": 4, "sign_ups_per_address": 100, "document_model": "nunmal"}
QUESTION = "버들 하천은 길이가 얼마나 되나요?"
ANSWER = (
    "버들 하천의 길이는 42킬로미터입니다 [3]. 상류에는 수달이 삽니다.[1]\n\n"
    "하류에는 서울대학교가 있습니다 [1].\n\n끝으로, 길이는 99킬로미터라는 말도 있습니다."
)


_PAUSE_AFTER = 3  # lines: a paragraph is finished, and another has begun


class Model:
    """`says`: its answer; it waits in the third line until it `may_go_on`."""

    def __init__(self, says: str = ANSWER) -> None:
        self.says = says
        self.asked: list[Generation] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def say(self, asked: Generation) -> AsyncIterator[str]:
        self.asked.append(asked)
        for number, line in enumerate(self.says.splitlines(keepends=True), 1):
            yield line
            if number == _PAUSE_AFTER:
                await self.may_go_on.wait()


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def app(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[Quart]:
    settings = web_settings(web=WRITING)
    app = create_app(settings, memory_broker, store, node_id="node", analyser=LocalAnalyser())
    async with app.test_app():
        yield app


@pytest.fixture
async def reader(store: Store, memory_broker: MemoryBroker, person: WebVisitor) -> WebVisitor:
    """With one document of three pages that was read."""
    await _upload(person, ("마을 안내.pdf", pdf_of(PAGES)))
    (user,) = await store.users.everyone()
    async with ingest_worker(store, memory_broker):
        for document in await store.documents.of_user(user.id):
            await ended(store, document)
    return person


async def _asked(reader: WebVisitor, question: str = QUESTION) -> str:
    """Where the answer is."""
    await reader.get("/documents")
    response = await reader.post("/documents/ask", q=question, collection="")
    assert response.status_code == 303, reader.page
    return response.location or ""


def _chips(part: Tag) -> list[str]:
    return [str(chip.get("href", "-")) for chip in part.select(".cite, .uncited")]


async def test_each_claim_leads_to_the_passage_that_bears_it_out_whatever_the_model_wrote(
    store: Store, memory_broker: MemoryBroker, reader: WebVisitor, model: Model
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, model.say) as worker:
        path = await _asked(reader)
        await worker.has_ended()
    await reader.get(path)

    (asked,) = model.asked
    assert (asked.origin, asked.job_class, asked.question) == (Origin.DOCUMENT, JobClass.INTERACTIVE, QUESTION)
    assert isinstance(asked.prompt, tuple) and isinstance(asked.prompt[0], Message)
    assert "[1] 마을 안내.pdf, 2쪽" in asked.prompt[0].content and asked.prompt[0].content.endswith(QUESTION)
    page = BeautifulSoup(reader.page, "html.parser")
    (answer,) = page.select(".answer")
    river, school, other = answer.select("p")
    first = f"/documents/{asked.sources[0].document_id}/pages/2?from=0&to={len(PAGES[1])}"
    assert _chips(river) == [first, first] and "[3]" not in answer.get_text()
    assert _chips(school) == _chips(other) == ["-"] and "근거 없음" in school.get_text()
    quoted = [row.get_text() for row in page.select(".citations .quote")]
    assert quoted[0] == "버들 하천의 길이는 42킬로미터이다."
    assert "모델이 아래 글을 읽고 쓴 답이에요" in reader.page
    await reader.get(first)
    assert BeautifulSoup(reader.page, "html.parser").select("rect.passage-box")


async def test_it_is_streamed_and_finished_paragraphs_have_their_chips_at_once(
    store: Store, memory_broker: MemoryBroker, reader: WebVisitor, model: Model
) -> None:
    model.may_go_on.clear()
    begun = "".join(ANSWER.splitlines(keepends=True)[:_PAUSE_AFTER])
    async with ScriptedWorker(store, memory_broker, LANE, model.say) as worker:
        path = await _asked(reader)
        await worker.has_stored(len(begun))
        await reader.get(path)
        page = BeautifulSoup(reader.page, "html.parser")
        (block,), (button,) = page.select(".answer .block"), page.select(".stopping button")
        assert len(_chips(block)) == 2 and button.get_text() == "그만 쓰기"
        model.may_go_on.set()
        body = await (await reader.client.get(f"{path}/stream")).get_data(as_text=True)
    done = parse_events(body)[-1]

    assert done.name == "done" and done.data["html"].count('class="cite"') == 2
    assert done.data["html"].count("uncited") == 2


async def test_the_answer_that_nothing_is_there_needs_no_source(
    store: Store, memory_broker: MemoryBroker, reader: WebVisitor
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, Model("문서에 없는 내용입니다.").say) as worker:
        path = await _asked(reader)
        await worker.has_ended()
    await reader.get(path)

    (answer,) = BeautifulSoup(reader.page, "html.parser").select(".answer")
    assert answer.get_text().strip() == "문서에 없는 내용입니다." and _chips(answer) == []


async def test_markup_of_a_model_and_of_a_name_stays_text(
    store: Store, memory_broker: MemoryBroker, reader: WebVisitor
) -> None:
    await _upload(reader, ("<script>alert(1)&'.txt", "매화 언덕에는 등대가 두 개 있다.".encode()))
    (user,) = await store.users.everyone()
    async with ingest_worker(store, memory_broker):
        for document in await store.documents.of_user(user.id):
            await ended(store, document)
    says = "\ue0000\ue001<img src=x onerror=alert(1)>\n\n매화 언덕에는 등대가 두 개 있습니다."
    async with ScriptedWorker(store, memory_broker, LANE, Model(says).say) as worker:
        path = await _asked(reader, "매화 언덕에는 등대가 몇 개 있나요?")
        await worker.has_ended()
    await reader.get(path)

    page = BeautifulSoup(reader.page, "html.parser")
    assert page.select("img[onerror]") == [] and [each for each in page.select("script") if "alert" in each.text] == []
    (chip,) = page.select(".answer .cite")
    assert str(chip["title"]).startswith("<script>alert(1)&'.txt")


async def test_nothing_is_asked_of_the_model_where_nothing_is_found_or_nobody_answers(
    store: Store, memory_broker: MemoryBroker, reader: WebVisitor, model: Model
) -> None:
    path = await _asked(reader)
    assert path.startswith("/documents?q=")
    await reader.get(path)
    assert "42킬로미터" in reader.page and "모델이 새로 쓴 답이 아니라" in reader.page
    async with ScriptedWorker(store, memory_broker, LANE, model.say):
        path = await _asked(reader, "양자 컴퓨터의 오류 정정 부호는 누가 제안했나요?")
    await reader.get(path)

    assert "문서에 없는 내용입니다." in reader.page and model.asked == []


async def test_who_may_not_ask_now_gets_what_was_found_and_the_reason(
    store: Store, memory_broker: MemoryBroker, reader: WebVisitor, model: Model
) -> None:
    model.may_go_on.clear()
    async with ScriptedWorker(store, memory_broker, LANE, model.say):
        for _ in range(4):
            await _asked(reader)
        await reader.get("/documents")
        refused = await reader.post("/documents/ask", q=QUESTION, collection="")

        assert refused.status_code == 429
        (alert,) = BeautifulSoup(reader.page, "html.parser").select('[role="alert"]')
        assert alert.get_text() and "42킬로미터" in reader.page
        model.may_go_on.set()


async def test_a_question_that_is_none_is_refused_and_kept(reader: WebVisitor) -> None:
    await reader.get("/documents")
    response = await reader.post("/documents/ask", q="가" * 501, collection="")

    assert response.status_code == 422 and f'value="{"가" * 500}"' in reader.page


async def test_it_can_be_stopped_and_what_was_written_stays(
    store: Store, memory_broker: MemoryBroker, reader: WebVisitor, model: Model
) -> None:
    model.may_go_on.clear()
    async with ScriptedWorker(store, memory_broker, LANE, model.say) as worker:
        path = await _asked(reader)
        await worker.has_stored(10)
        await reader.get(path)
        assert (await reader.post(f"{path}/stop")).status_code == 303
        await worker.has_ended()
    await reader.get(path)

    assert 'data-state="stopped"' in reader.page and "42킬로미터입니다" in reader.page
    await reader.get("/documents")
    assert f'href="{path}"' in reader.page and "지난 답 1개" in reader.page
    await reader.post(f"{path}/delete")
    assert (await reader.get(path)).status_code == 404


async def test_answers_are_their_owners_alone(
    app: Quart, store: Store, memory_broker: MemoryBroker, reader: WebVisitor, model: Model
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, model.say) as worker:
        path = await _asked(reader)
        await worker.has_ended()
    other = WebVisitor(app)
    await other.sign_up("남")
    for what in ("", "/stream"):
        assert (await other.get(f"{path}{what}")).status_code == 404
    await other.get("/documents")
    assert path not in other.page
    assert (await other.post(f"{path}/stop")).status_code == 404
    await other.post(f"{path}/delete")

    assert (await reader.get(path)).status_code == 200
    assert (await reader.post(f"{path}/delete", csrf_token="x")).status_code == 403
    assert (await reader.get(f"/chat/{path.rpartition('/')[2]}")).status_code == 404


async def _nothing_left(store: Store) -> bool:
    return [row async for row in store._database["generations"].find({})] == []


async def _document_removed(store: Store, user_id: str) -> None:
    (document,) = await store.documents.of_user(user_id)
    assert await store.personal.remove_document(document.id, user_id)


async def _account_left(store: Store, user_id: str) -> None:
    await store.personal.remove(user_id)


async def _grown_old(store: Store, user_id: str) -> None:
    turns = store._database["generations"]
    long_ago = (datetime.now(UTC) - timedelta(days=31)).timestamp()
    await turns.update_many({}, {"$set": {"created_at": long_ago}})
    await forget_old(store, RetentionSettings(conversation_days=30))


async def _written_meanwhile(store: Store, user_id: str) -> None:
    """The question came in while its document went."""
    (turn,) = [row async for row in store._database["generations"].find({})]
    await _document_removed(store, user_id)
    await store._database["generations"].insert_one(turn)
    await store.personal.finish_document_removals(10)


@pytest.mark.parametrize("leave", [_document_removed, _account_left, _grown_old, _written_meanwhile])
async def test_an_answer_goes_with_its_document_its_owner_and_its_time(
    store: Store,
    memory_broker: MemoryBroker,
    reader: WebVisitor,
    model: Model,
    leave: Callable[[Store, str], AsyncIterator[None]],
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, model.say) as worker:
        await _asked(reader)
        await worker.has_ended()
    (user,) = await store.users.everyone()
    await leave(store, user.id)  # type: ignore[misc]

    assert await _nothing_left(store)


async def test_without_an_analyser_the_answer_is_shown_without_chips(
    store: Store, memory_broker: MemoryBroker, reader: WebVisitor, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, model.say) as worker:
        path = await _asked(reader)
        await worker.has_ended()

    async def broken(self: LocalAnalyser, texts: object) -> None:
        raise SearchUnavailable

    monkeypatch.setattr(LocalAnalyser, "morphemes", broken)
    assert (await reader.get(path)).status_code == 200
    (answer,) = BeautifulSoup(reader.page, "html.parser").select(".answer")
    assert "42킬로미터입니다" in answer.get_text() and _chips(answer) == []


async def test_a_download_has_what_was_asked_and_from_what_it_was_written(
    store: Store, memory_broker: MemoryBroker, reader: WebVisitor, model: Model
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, model.say) as worker:
        await _asked(reader)
        await worker.has_ended()
    await reader.get("/account")
    response = await reader.client.post("/account/download", form={"csrf_token": reader.csrf_token})

    (told,) = json.loads(await response.get_data(as_text=True))["document_answers"]
    assert told["question"] == QUESTION and told["answer"] == ANSWER
    assert told["sources"][0]["name"] == "마을 안내.pdf"


async def test_a_program_gets_claims_with_their_sources_and_follows_them_as_they_are_written(
    app: Quart, store: Store, memory_broker: MemoryBroker, reader: WebVisitor, model: Model
) -> None:
    (user,) = await store.users.everyone()
    _, secret = await store.keys.create(user.id, "key", SCOPES)
    program = Program(app, user.id, secret)
    plain = await (await program.post("/v1/documents/ask", {"question": QUESTION})).get_json()
    assert plain["written"] is None
    async with ScriptedWorker(store, memory_broker, LANE, model.say):
        answer = await (await program.post("/v1/documents/ask", {"question": QUESTION, "write": True})).get_json()
        written = answer["written"]
        assert answer["citations"] == plain["citations"] and written["claims"] is None
        stream = await (await program.get(written["stream_url"])).get_data(as_text=True)
    done = parse_events(stream)[-1].data
    told = await (await program.get(written["status_url"])).get_json()

    assert done == told and told["status"] == "done"
    assert [claim["sources"] for claim in told["claims"]] == [[1], [1], [], []]
    assert told["claims"][0]["text"] == "버들 하천의 길이는 42킬로미터입니다." and "[3]" not in told["text"]
    assert told["sources"][0]["page"] == 2
    stranger = Program(app, "x", (await store.keys.create("x", "key", SCOPES))[1])
    for method in ("GET", "DELETE"):
        refused = await stranger.call(method, written["status_url"])
        assert (refused.status_code, (await refused.get_json())["error"]["code"]) == (404, "document_answer_not_found")
    assert (await (await program.call("DELETE", written["status_url"])).get_json())["deleted"] is True
    assert (await program.get(written["status_url"])).status_code == 404


async def test_an_answer_that_failed_says_why(
    app: Quart, store: Store, memory_broker: MemoryBroker, reader: WebVisitor, model: Model
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, model.say) as worker:
        path = await _asked(reader)
        await worker.has_ended()
    turn = await store.generations.get(path.rpartition("/")[2])
    assert turn is not None
    await store._database["generations"].delete_many({})
    failed = replace(turn, state=GenerationState.FAILED, error_code="generation_crashed", answer="")
    await store.generations.add(failed)
    await reader.get(path)

    (note,) = BeautifulSoup(reader.page, "html.parser").select("[data-note]")
    assert note.get_text() and "42킬로미터" in reader.page, "what was found stands there still"
