"""Blind comparison: nothing tells the versions apart until something was chosen, and then it is told and counted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import AccountRole, Generation, GenerationState
from shared.comparisons import Choice
from shared.publishing import Publishing
from shared.scopes import SCOPES
from shared.store import Store
from tests.adapter_folders import BASE, write_adapter
from tests.factories import LANE
from tests.integration.web.api.conftest import Program
from tests.scripted_worker import ScriptedWorker
from tests.web_visitor import WebVisitor

CHOICES = re.compile(r'name="choice" value="(\w+)"')


async def _different(asked: Generation) -> AsyncIterator[str]:
    yield "짧은 답" if asked.adapter else "훨씬 더 긴 답"


@pytest.fixture
async def version(store: Store, tmp_path: Path) -> str:
    """An adapter's version in the store."""
    await store.adapters.describe_base(BASE)
    return (await Publishing(store, None).push("wallpaper", write_adapter(tmp_path), "researcher")).version_id


@pytest.fixture
async def researcher(app: Quart, store: Store, version: str) -> WebVisitor:
    visitor = WebVisitor(app)
    user = await store.users.by_email(await visitor.sign_up())
    assert user is not None
    await store.users.set_role(user.id, AccountRole.RESEARCHER)
    await visitor.get("/comparisons")
    return visitor


async def _seen(visitor: WebVisitor, path: str) -> str:
    """Everything that comes for this address: status, headers and body."""
    response = await visitor.client.get(path)
    return f"{path} {response.status_code} {response.headers} {await response.get_data(as_text=True)}"


async def _begin(visitor: WebVisitor, question: str = "벽지에 얼룩이 있어요") -> str:
    await visitor.get("/compare")
    response = await visitor.post("/compare", question=question)
    assert response.status_code == 303, visitor.page
    return response.location or ""


async def test_from_an_offer_to_a_choice_nothing_names_a_version_and_then_the_page_does(
    app: Quart, store: Store, memory_broker: MemoryBroker, researcher: WebVisitor, person: WebVisitor, version: str
) -> None:
    assert 'href="/compare"' not in person.page
    assert (await researcher.post("/comparisons", one="", other=version)).status_code == 303
    await person.get("/chat")
    assert 'href="/compare"' in person.page

    async with ScriptedWorker(store, memory_broker, LANE, _different) as worker:
        worker.adapters = (version,)
        await worker._beat()
        path = await _begin(person)
        await worker.has_ended(2)
    comparison_id = path.rpartition("/")[2]
    (user_id,) = {each.user_id for each in await _all(store)}
    turns = await store.generations.of_conversation(comparison_id, user_id)
    _, key = await store.keys.create(user_id, "key", SCOPES)
    seen = [await _seen(person, path), await _seen(person, "/compare"), await _seen(person, "/chat")]
    seen += [await _seen(person, f"{path}/stream/{turn.id}") for turn in turns]
    program = Program(app, user_id, key)
    for turn in turns:
        told = await program.get(f"/v1/jobs/{turn.id}")
        assert told.status_code == 404
        seen.append(await told.get_data(as_text=True))
    await person.get("/account")
    file = await person.post("/account/download")
    seen.append(await file.get_data(as_text=True))
    assert "짧은 답" in seen[0] and "훨씬 더 긴 답" in seen[0] and '"state": "done"' in seen[3]
    name, _, digest = version.partition("@")
    assert not [text for text in seen if name in text or digest in text or "기본 모델" in text]

    (comparison,) = await store.comparisons.of_user(user_id)
    await person.get(path)
    assert CHOICES.findall(person.page) == ["left", "right", "same", "bad"]
    choice = Choice.LEFT if comparison.left == version else Choice.RIGHT
    assert (await person.post(path, choice=choice)).location == path
    await person.get(path)
    headings = re.findall(r"(왼쪽|오른쪽) 답 · <code>(.*?)</code>", person.page)
    assert dict(headings) == {"왼쪽": comparison.left or "기본 모델", "오른쪽": comparison.right or "기본 모델"}
    assert CHOICES.findall(person.page) == []

    await person.post(path, choice=Choice.BAD)
    await researcher.get("/comparisons")
    assert "이김 1, 짐 0, 비슷함 0, 둘 다 아쉬움 0" in researcher.page
    assert "100.0%" in researcher.page and "(20.7–100.0%)" in researcher.page and "1명이 1번" in researcher.page


async def _all(store: Store) -> list[Generation]:
    documents = await store._database["generations"].find({"origin": "comparison"}).to_list(None)
    found = [await store.generations.get(document["_id"]) for document in documents]
    return [turn for turn in found if turn is not None]


async def test_both_answers_stand_in_line_with_one_seed_and_places_are_drawn(
    store: Store, researcher: WebVisitor, person: WebVisitor, version: str
) -> None:
    await researcher.post("/comparisons", one=version, other="")
    places = set()
    for _ in range(40):  # 1 in 10^12 to see one order only
        path = await _begin(person)
        turns = await _all(store)
        assert len({turn.seed for turn in turns}) == 1
        assert {turn.adapter for turn in turns} == {None, version}
        places.add(min(turns, key=lambda turn: turn.id).adapter)
        await person.get(path)
        assert (await person.post(f"{path}/delete")).location == "/compare"
        assert await _all(store) == []
        if len(places) == 2:
            break

    assert places == {None, version}


async def test_nothing_is_chosen_before_both_answers_are_there(
    store: Store, researcher: WebVisitor, person: WebVisitor, version: str
) -> None:
    await researcher.post("/comparisons", one=version, other="")
    path = await _begin(person)
    await person.get(path)
    assert (await person.post(path, choice="left")).status_code == 422
    assert "두 답이 모두 끝난 뒤에" in person.page
    assert (await person.post(path, choice="both")).status_code == 422

    for answer in ("말", ""):
        claimed = await store.generations.claim(LANE, "w", adapters=[version])
        assert claimed is not None
        await store.generations.finish(claimed.id, claimed.attempt, GenerationState.DONE, [], answer)
    await person.get(path)

    assert CHOICES.findall(person.page) == []
    assert (await person.post(path, choice="left")).status_code == 422


async def test_comparisons_are_their_owners_and_offers_are_the_researchers(
    app: Quart, researcher: WebVisitor, person: WebVisitor, version: str
) -> None:
    assert (await person.post("/compare", question="안녕?")).status_code == 422
    assert "지금은 비교할 것이 없어요." in person.page
    for one, other in (("", ""), (version, version)):
        assert (await researcher.post("/comparisons", one=one, other=other)).status_code == 422
        assert "서로 다른" in researcher.page
    assert (await researcher.post("/comparisons", one="wallpaper@000000000000", other="")).status_code == 422
    await researcher.post("/comparisons", one=version, other="")
    await researcher.post("/comparisons", one="", other=version)  # the same two
    path = await _begin(person)

    stranger = WebVisitor(app)
    await stranger.sign_up()
    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.post(path, choice="left")).status_code == 404
    assert (await person.get("/comparisons")).status_code == 404
    assert (await person.post("/comparisons", one="", other=version)).status_code == 404
    assert (await researcher.get(f"/adapters/trials/{path.rpartition('/')[2]}")).status_code == 404
    await researcher.get("/comparisons")
    (closing,) = re.findall(r'action="(/comparisons/[^"]+/close)"', researcher.page)
    assert (await researcher.post(closing)).status_code == 303
    await person.get("/compare")
    assert "지금은 비교할 것이 없어요." in person.page and path in person.page


async def test_a_question_that_is_refused_stays_and_leaves_nothing(
    store: Store, researcher: WebVisitor, person: WebVisitor, version: str
) -> None:
    await researcher.post("/comparisons", one=version, other="")
    await _begin(person, "하나")
    await _begin(person, "둘")
    await person.get("/compare")

    refused = await person.post("/compare", question="셋은 너무 많아요")

    assert refused.status_code == 429
    assert "셋은 너무 많아요</textarea>" in person.page
    assert len(await store.comparisons._comparisons.find({}).to_list(None)) == 2
    assert (await person.post("/compare", question="   ")).status_code == 422
