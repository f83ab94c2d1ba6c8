"""Votes on one's own answers: given, explained, changed, taken back; and the consent to learn from them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState
from shared.store import Store
from shared.votes import MOST_WORDS_CHARACTERS, Reason, Vote, VoteValue
from tests.factories import LANE
from tests.scripted_worker import ScriptedWorker
from tests.web_visitor import WebVisitor

_PRESSED = re.compile(r'/vote/(up|down)" name="on" value="(\d)" aria-pressed="(true|false)"')


async def _hello(asked: Generation) -> AsyncIterator[str]:
    yield "안녕하세요."


@pytest.fixture
async def answered(person: WebVisitor, store: Store, memory_broker: MemoryBroker) -> Generation:
    """An answer of somebody who looks at it."""
    async with ScriptedWorker(store, memory_broker, LANE, _hello) as worker:
        asked = await person.ask("안녕?")
        await worker.has_ended(1)
    conversation_id = (asked.location or "").rpartition("/")[2]
    turn = await store.generations.get(conversation_id)
    assert turn is not None
    await person.get(f"/chat/{conversation_id}")
    return turn


def _path(turn: Generation) -> str:
    return f"/chat/{turn.conversation_id}/turns/{turn.id}/vote"


async def _votes(store: Store, turn: Generation) -> list[Vote]:
    return await store.votes.of_user(turn.user_id)


async def _vote(person: WebVisitor, turn: Generation, value: str, **fields: str | list[str]) -> int:
    pairs = {"csrf_token": person.csrf_token, "on": "1"} | fields
    return (await person.post_raw(f"{_path(turn)}/{value}", urlencode(pairs, doseq=True).encode())).status_code


async def test_a_vote_is_given_changed_and_taken_back(person: WebVisitor, store: Store, answered: Generation) -> None:
    assert _PRESSED.findall(person.page) == [("up", "1", "false"), ("down", "1", "false")]

    response = await person.post(f"{_path(answered)}/up", on="1")
    page, _, place = (response.location or "").partition("#")
    assert page.startswith(f"/chat/{answered.conversation_id}") and place == f"turn-{answered.id}"
    await person.get(f"/chat/{answered.conversation_id}")
    assert _PRESSED.findall(person.page) == [("up", "0", "true"), ("down", "1", "false")]
    assert "도움이 됐어요" in person.page and "틀렸어요" not in person.page

    await _vote(person, answered, "down", reason=["long", "wrong"], words="  짧게요 ")
    (vote,) = await _votes(store, answered)
    assert (vote.value, vote.reasons, vote.words) == (VoteValue.DOWN, (Reason.WRONG, Reason.LONG), "짧게요")
    assert (vote.model, vote.model_digest, vote.adapter) == ("test", answered.model_digest, None)
    await person.get(f"/chat/{answered.conversation_id}")
    assert re.findall(r'value="(\w+)" checked', person.page) == ["wrong", "long"]

    await person.post(f"{_path(answered)}/down", on="0")
    assert await _votes(store, answered) == []


@pytest.mark.parametrize(
    "fields",
    [{"reason": "helpful"}, {"reason": "made_up"}, {"words": "가" * (MOST_WORDS_CHARACTERS + 1)}],
)
async def test_reasons_of_another_kind_and_long_words_are_refused_with_a_sentence(
    person: WebVisitor, store: Store, answered: Generation, fields: dict[str, str | list[str]]
) -> None:
    assert await _vote(person, answered, "down", **fields) == 422
    assert f"{MOST_WORDS_CHARACTERS}자까지" in person.page
    assert await _votes(store, answered) == []


async def test_an_answer_that_is_not_over_has_no_votes(person: WebVisitor, store: Store) -> None:
    await person.ask("안녕?")
    claimed = await store.generations.claim(LANE, "w")
    assert claimed is not None

    assert await _vote(person, claimed, "up") == 422
    assert "끝난 답만 평가할 수 있어요." in person.page
    await store.generations.finish(claimed.id, claimed.attempt, GenerationState.FAILED, [], "")
    assert await _vote(person, claimed, "up") == 422
    assert _PRESSED.findall(person.page) == []


async def test_nobody_votes_on_what_is_not_theirs(app: Quart, store: Store, answered: Generation) -> None:
    stranger = WebVisitor(app)
    await stranger.sign_up()

    assert await _vote(stranger, answered, "up") == 404
    assert (await stranger.post(f"{_path(answered)}/sideways", on="1")).status_code == 404
    assert (await stranger.post(f"{_path(answered)}/up", on="1", csrf_token="x")).status_code == 403
    assert await _votes(store, answered) == []


async def test_a_vote_goes_with_its_conversation(person: WebVisitor, store: Store, answered: Generation) -> None:
    await _vote(person, answered, "up")
    await person.post(f"/chat/{answered.conversation_id}/delete")

    assert await _votes(store, answered) == []


async def test_consent_is_off_until_it_is_given_and_can_be_withdrawn(person: WebVisitor, store: Store) -> None:
    await person.get("/account")
    assert "동의하지 않으셨어요." in person.page

    response = await person.post("/account/training", agrees="1")
    await person.get(response.location or "")
    assert "지금부터 남기시는 평가를 학습에 쓸 수 있어요." in person.page
    (user,) = await store.users.agreeing()
    assert user.agreed_at is not None

    response = await person.post("/account/training", agrees="0")
    await person.get(response.location or "")
    assert "동의를 거뒀어요." in person.page
    assert await store.users.agreeing() == []
