"""Many conversations at once: tags, and removal that is asked about first."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from bs4 import BeautifulSoup
from quart import Quart, Response

from shared.chat import GenerationState
from shared.store import Store
from tests.web_visitor import WebVisitor
from web.organising.service import MOST_TAG_CHARACTERS, MOST_TAGS


async def _ask(person: WebVisitor, *questions: str) -> list[str]:
    """Ids of new conversations."""
    ids = []
    for question in questions:
        await person.get("/chat")
        response = await person.ask(question)
        ids.append((response.location or "").removeprefix("/chat/"))
    await person.get("/library")
    return ids


async def _arrange(person: WebVisitor, do: str, ids: list[str], **fields: str) -> Response:
    pairs = [("csrf_token", person.csrf_token), ("do", do), *fields.items()]
    return await person.post_raw("/library", urlencode([*pairs, *(("conversation", each) for each in ids)]).encode())


def _titles(person: WebVisitor) -> list[str]:
    return [link.get_text() for link in BeautifulSoup(person.page, "html.parser").select(".shelf li div > a")]


async def test_a_tag_gathers_conversations_and_comes_off_again(store: Store, person: WebVisitor) -> None:
    sea, hill, _ = await _ask(person, "바다", "언덕", "하늘")
    response = await _arrange(person, "tag", [sea, hill], typed="#  여행  계획 ")
    assert response.status_code == 303, person.page
    await person.get("/library?tag=%EC%97%AC%ED%96%89%20%EA%B3%84%ED%9A%8D")
    assert _titles(person) == ["언덕", "바다"]

    await _arrange(person, "untag", [hill], typed="여행 계획")
    await person.get("/library?tag=%EC%97%AC%ED%96%89%20%EA%B3%84%ED%9A%8D")
    assert _titles(person) == ["바다"]
    await person.get("/library")
    assert _titles(person) == ["하늘", "언덕", "바다"]


async def test_tags_have_limits_and_what_was_ticked_stays(store: Store, person: WebVisitor) -> None:
    (one,) = await _ask(person, "바다")
    for number in range(MOST_TAGS):
        await _arrange(person, "tag", [one], typed=f"태그{number}")
    for typed in ("하나 더", "", "가" * (MOST_TAG_CHARACTERS + 1)):
        refused = await _arrange(person, "tag", [one], typed=typed)
        assert refused.status_code == 422
        assert 'role="alert"' in person.page
        assert re.search(rf'value="{one}" checked', person.page)
    assert (await _arrange(person, "tag", [one], typed="태그1")).status_code == 303
    (user,) = await store.users.everyone()
    kept = await store.conversations.get(one, user.id)
    assert kept is not None and len(kept.tags) == MOST_TAGS


async def test_the_ticked_ones_go_after_a_question_and_running_answers_stop(store: Store, person: WebVisitor) -> None:
    first, second, kept = await _ask(person, "바다", "언덕", "하늘")
    claimed = await store.generations.claim("chat.test", "w")
    assert claimed is not None and claimed.id == first
    asked = await _arrange(person, "delete", [first, second])
    assert asked.status_code == 200
    assert "대화 2개를 지울까요?" in person.page and "바다" in person.page
    (user,) = await store.users.everyone()
    assert len(await store.conversations.latest(user.id)) == 3

    pairs = [("csrf_token", person.csrf_token), ("conversation", first), ("conversation", second)]
    response = await person.post_raw("/library/delete", urlencode(pairs).encode())
    assert response.location == "/library"
    assert [each.id for each in await store.conversations.latest(user.id)] == [kept]
    assert await store.generations.get(first) is None
    finished = await store.generations.finish(first, claimed.attempt, GenerationState.DONE, [1], "늦은 답")
    assert not finished


async def test_nothing_is_done_without_choice_token_and_right(app: Quart, store: Store, person: WebVisitor) -> None:
    (mine,) = await _ask(person, "바다")
    assert (await _arrange(person, "delete", [])).status_code == 422
    assert (await _arrange(person, "burn", [mine])).status_code == 422
    other = WebVisitor(app)
    await other.sign_up("남")
    await other.get("/library")
    assert _titles(other) == []
    for do in ("delete", "tag"):
        assert (await _arrange(other, do, [mine], typed="내 것")).status_code == 422
    assert (await other.post("/library/delete", conversation=mine)).status_code == 422
    assert (await person.post("/library/delete", conversation=mine, csrf_token="x")).status_code == 403
    await person.get("/library")
    assert _titles(person) == ["바다"]
    assert "내 것" not in person.page


async def test_a_long_list_has_pages(store: Store, person: WebVisitor) -> None:
    (user,) = await store.users.everyone()
    for number in range(23):
        await store.conversations.create(f"{number}", user.id, f"대화 {number}", "")
    await person.get("/library")
    first = _titles(person)
    await person.get("/library?page=2")

    assert len(first) == 20
    assert len({*first, *_titles(person)}) == 23
