"""Search over one's own conversations, as a person without scripts sees it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlencode

import pytest
from bs4 import BeautifulSoup
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import AccountRole, GenerationState
from shared.organising_errors import SearchUnavailable
from shared.store import Store
from shared.text.analyser import Analyser
from shared.text.morphemes import Stem
from tests.factories import generation
from tests.local_analyser import LocalAnalyser
from tests.web_visitor import WebVisitor, web_settings
from web.app import create_app
from web.search.indexing import Indexing
from web.search.service import PER_PAGE


@pytest.fixture
async def app(store: Store, memory_broker: MemoryBroker) -> AsyncIterator[Quart]:
    app = create_app(web_settings(), memory_broker, store, node_id="node", analyser=LocalAnalyser())
    async with app.test_app():
        yield app


async def _talked(store: Store, question: str, answer: str, *, index: int = 0) -> str:
    """A conversation of the person who signed up first (or `index`-th). Its id."""
    user = sorted(await store.users.everyone(), key=lambda user: user.id)[index]
    turn = generation(user_id=user.id, question=question)
    turn = generation(id=turn.id, conversation_id=turn.id, user_id=user.id, question=question)
    await store.generations.add(turn)
    claimed = await store.generations.claim(turn.lane, "w")
    assert claimed is not None
    await store.generations.finish(turn.id, claimed.attempt, GenerationState.DONE, [], answer)
    await store.conversations.create(turn.id, user.id, question[:20], turn.id)
    return turn.id


def _search(text: str, **more: str) -> str:
    return f"/search?{urlencode({'q': text, **more})}"


def _hits(visitor: WebVisitor) -> list[str]:
    return [mark.get_text() for mark in BeautifulSoup(visitor.page, "html.parser").select("mark")]


async def test_an_inflected_form_is_found_marked_and_leads_to_its_turn(store: Store, person: WebVisitor) -> None:
    found = await _talked(store, "어제 뭐 했어?", "**공원**을 천천히 걸었어요. <b>비</b>가 왔어요.")
    await _talked(store, "배고파", "밥을 먹어요.")
    response = await person.get(_search("공원에서 걷다"))

    assert response.status_code == 200
    assert _hits(person) == ["공원", "걸었어요"]
    assert f'href="/chat/{found}?turn={found}#turn-{found}"' in person.page
    assert "대화 1개에서 찾았어요" in person.page
    assert "<b>비</b>" not in person.page
    await person.get(f"/chat/{found}")
    assert f'id="turn-{found}"' in person.page


async def test_others_find_nothing_of_mine(app: Quart, store: Store, person: WebVisitor) -> None:
    await _talked(store, "비밀 이야기", "아무도 몰라요.")
    other = WebVisitor(app)
    await other.sign_up("남")
    await other.get(_search("비밀"))
    assert "찾은 대화가 없어요" in other.page

    await person.get(_search("비밀"))
    assert _hits(person) == ["비밀"]
    assert (await WebVisitor(app).client.get(_search("비밀"))).location == "/login?next=/search"


async def test_initials_find_words_and_one_alone_is_refused(store: Store, person: WebVisitor) -> None:
    await _talked(store, "한글이 뭐야?", "글자예요.")
    await person.get(_search("ㅎㄱ"))
    assert _hits(person) == ["한글"]

    refused = await person.get(_search("ㅎ"))
    assert refused.status_code == 422
    assert "초성은 두 글자부터" in person.page


async def test_the_page_without_a_question_asks_for_one(person: WebVisitor) -> None:
    assert (await person.get("/search")).status_code == 200
    assert 'name="q"' in person.page and "찾은 대화" not in person.page
    assert (await person.get(_search("가" * 101))).status_code == 422


async def test_many_conversations_have_pages(store: Store, person: WebVisitor) -> None:
    ids = [await _talked(store, f"바다 {number}", "파도") for number in range(PER_PAGE + 2)]
    await person.get(_search("바다"))
    first = re.findall(r'<h3><a href="/chat/([^?#]+)', person.page)
    await person.get(_search("바다", page="2"))
    second = re.findall(r'<h3><a href="/chat/([^?#]+)', person.page)

    assert first + second == ids[::-1]
    assert 'rel="prev"' in person.page and 'rel="next"' not in person.page
    assert (await person.get(_search("바다", page="-3x"))).status_code == 200


async def test_a_deleted_conversation_is_not_found(store: Store, person: WebVisitor) -> None:
    gone = await _talked(store, "지울 바다", "네")
    await person.get(_search("바다"))
    await person.get(f"/chat/{gone}/delete")
    await person.post(f"/chat/{gone}/delete")
    await person.get(_search("바다"))

    assert "찾은 대화가 없어요" in person.page
    assert await store._database["search"].count_documents({}) == 0


class _Away(LocalAnalyser):
    is_away = True

    async def stems(self, texts: Sequence[str]) -> list[list[Stem]]:
        if self.is_away:
            raise SearchUnavailable
        return await super().stems(texts)


async def test_an_analyser_that_is_away_is_said_and_leaves_nothing_out(
    store: Store, memory_broker: MemoryBroker
) -> None:
    analyser = _Away()
    app = create_app(web_settings(), memory_broker, store, node_id="node", analyser=analyser)
    async with app.test_app():
        person = WebVisitor(app)
        await person.sign_up()
        await _talked(store, "바다", "파도")
        assert (await person.get(_search("바다"))).status_code == 503
        assert "지금은 찾을 수 없어요" in person.page
        analyser.is_away = False
        await person.get(_search("바다"))
        assert _hits(person) == ["바다"]


async def test_the_analysers_process_begins_again_after_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    analyser = Analyser()
    with monkeypatch.context() as changed:
        changed.setattr("shared.text.analyser.MODULE", "no.such.module")
        with pytest.raises(SearchUnavailable):
            await analyser.stems(["바다"])
    ((sea,),) = await analyser.stems(["바다를"])
    await analyser.close()

    assert (sea.text, sea.start, sea.end) == ("바다", 0, 2)


class _Choosy(LocalAnalyser):
    """Cannot bear one text."""

    async def stems(self, texts: Sequence[str]) -> list[list[Stem]]:
        if any("독" in text for text in texts):
            raise SearchUnavailable
        return await super().stems(texts)


async def test_a_text_that_cannot_be_read_keeps_no_other_from_being_found(store: Store) -> None:
    await store.users.create("jiu@example.com", "지우", b"hash", AccountRole.USER)
    await _talked(store, "독", "약")
    found = await _talked(store, "바다", "파도")
    analyser = _Choosy()
    await Indexing(store, analyser).some()

    assert await store.search.unindexed(10) == []
    (user,) = await store.users.everyone()
    assert [entry.turn_id for entry in await store.search.matching(user.id, [" 바다 "], 10)] == [found]


async def test_a_text_that_takes_too_long_is_an_error_not_a_wait() -> None:
    analyser = Analyser(within_s=0.0)
    with pytest.raises(SearchUnavailable):
        await analyser.stems(["바다"])
    await analyser.close()
