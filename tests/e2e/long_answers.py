"""Answers that last for seconds, over RabbitMQ: services, a person, and what tests of ending processes ask of them.

A test module takes the fixtures by importing `environment`, `web` and `person`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from shared.chat import Generation
from shared.ids import new_id
from shared.store import Store
from tests.models import babbling_model
from tests.service import Person, Process, Transcript

LONG = 1300  # tokens; seconds of writing


@pytest.fixture(scope="module")
def environment(store_url: str, rabbit_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    model = tmp_path_factory.mktemp("model") / f"babbler-{new_id()}"  # the name is the lane: private to this run
    return {
        "NUNMAL_STORE_URL": store_url,
        "NUNMAL_STORE_DATABASE": f"test_{new_id().replace('-', '')}",
        "NUNMAL_BROKER_URL": rabbit_url,
        "NUNMAL_SECRET_KEY": "a secret for the tests only, long enough",
        "NUNMAL_MODEL": str(babbling_model(model, max_new_tokens=LONG)),
        "NUNMAL_WORKER__SLOTS": "2",
        "NUNMAL_WORKER__MAX_NEW_TOKENS": str(LONG),
    }


@pytest.fixture(scope="module")
def web(environment: dict[str, str]) -> Iterator[str]:
    with Process("web", "--port", "0", **environment) as process:
        yield process.wait_ready()


@pytest.fixture
def person(web: str) -> Iterator[Person]:
    with Person(web) as person:
        person.sign_up(f"{new_id()}@example.com")
        yield person


def stored(environment: dict[str, str], generation_id: str) -> Generation:
    async def read() -> Generation:
        async with Store(environment["NUNMAL_STORE_URL"], environment["NUNMAL_STORE_DATABASE"]) as store:
            found = await store.generations.get(generation_id)
            assert found is not None
            return found

    return asyncio.run(read())


def ask(person: Person, question: str) -> tuple[str, str]:
    """The paths of the conversation and the id of its answer."""
    conversation = person.ask(question)
    return conversation, person.turns(conversation)[-1].generation_id


def begin(person: Person, conversation: str, generation_id: str, characters: int = 400) -> Transcript:
    """What a browser has when the answer has well begun."""
    for have in person.stream(conversation, generation_id):
        if len(have.text) > characters:
            return have
    raise AssertionError(f"the answer ended early: {have}")


def finished(
    environment: dict[str, str], person: Person, turn: tuple[str, str], have: Transcript, seen: str
) -> Generation:
    """The stored answer, once it is over. It begins with what was `seen`, and the page shows all of it."""
    whole = person.whole(*turn, have)
    answer = stored(environment, turn[1])
    assert (whole.state, answer.state) == ("done", "done")
    assert answer.answer.startswith(seen)
    assert answer.answer.startswith(whole.text)
    assert person.turns(turn[0])[-1].text == answer.answer.strip()
    assert len(answer.token_ids) == LONG
    return answer
