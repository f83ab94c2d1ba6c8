"""`nunmal web` and `nunmal worker` as separate processes over RabbitMQ: either may die, no question is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.ids import new_id
from tests.models import babbling_model
from tests.service import Person, Process

pytestmark = pytest.mark.rabbitmq

LONG = 1500  # tokens; several seconds of writing


@pytest.fixture(scope="module")
def environment(store_url: str, rabbit_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    model = tmp_path_factory.mktemp("model") / f"babbler-{new_id()}"  # the name is the lane: private to this run
    return {
        "NUNMAL_STORE_URL": store_url,
        "NUNMAL_STORE_DATABASE": f"test_{new_id().replace('-', '')}",
        "NUNMAL_BROKER_URL": rabbit_url,
        "NUNMAL_SECRET_KEY": "a secret for the tests only, long enough",
        "NUNMAL_MODEL": str(babbling_model(model, max_new_tokens=LONG)),
    }


@pytest.fixture(scope="module")
def web(environment: dict[str, str]) -> Iterator[str]:
    with Process("web", "--port", "0", **environment) as process:
        yield process.wait_ready()


def worker(environment: dict[str, str]) -> Process:
    return Process("worker", **environment | {"NUNMAL_WORKER__DRAIN_S": "0"})


def test_web_is_ready_without_a_worker_and_says_so(web: str) -> None:
    report = httpx.get(f"{web}/readyz")

    assert report.status_code == 200
    assert report.json()["workers"]["alive"] == 0


def test_question_without_a_worker_is_kept_said_so_and_answered_later(web: str, environment: dict[str, str]) -> None:
    with Person(web) as person:
        person.sign_up("waiting@example.com")
        conversation = person.ask("아무도 없나요?")
        (turn,) = person.turns(conversation)
        assert (turn.state, turn.text.strip()) == ("queued", "")
        began = time.monotonic()
        while "답할 수 있는 곳이 없어요" not in person.get(conversation).text:
            assert time.monotonic() - began < 5, "the page must say within 5 s that nobody is there"

        with worker(environment) as process:
            process.wait_ready()
            whole = person.whole(conversation, turn.generation_id)
            (shown,) = person.turns(conversation)

    assert whole.state == "done"
    assert shown.text.strip()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_worker_that_ends_in_mid_answer_loses_nothing(
    web: str, environment: dict[str, str], number: signal.Signals
) -> None:
    with Person(web) as person:
        person.sign_up(f"{number.name.lower()}@example.com")
        with worker(environment) as first:
            first.wait_ready()
            conversations = [person.ask(f"{count}번째 긴 이야기") for count in range(4)]
            turns = {conversation: person.turns(conversation)[0].generation_id for conversation in conversations}
            for have in person.stream(conversations[0], turns[conversations[0]]):
                if len(have.text) > 400:
                    break
            seen = have.text
            first.signal(number)
            first.wait()
        with worker(environment) as second:
            second.wait_ready()
            answers = {path: person.whole(path, turn) for path, turn in turns.items()}

            (shown,) = person.turns(conversations[0])

    assert [answer.state for answer in answers.values()] == ["done"] * 4
    assert shown.text.startswith(seen.lstrip())
    assert "\ufffd" not in shown.text


def test_missing_settings_are_said_in_one_line() -> None:
    with Process("worker") as process:
        code = process.wait()

    assert code == 2
    assert process.output == "nunmal: NUNMAL_BROKER_URL is needed by `nunmal worker` (see .env.example)\n"


def test_broker_that_is_not_there_is_said_in_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    with Process("web", "--port", "0", **environment | {"NUNMAL_BROKER_URL": "amqp://127.0.0.1:1/"}) as process:
        code = process.wait()

    assert code == 1
    first, *rest = process.output.splitlines()
    assert first.startswith("nunmal: metrics are at ")  # where it is told that it is still starting
    assert rest == ["nunmal: RabbitMQ does not answer: AMQPConnectionError"]
