"""OpenAI's own client, unmodified, against a service with the reference model (the cases of `make clients`), and
against one that is busy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.accounts import make_key, make_user
from tests.clients.cases import Case, Service
from tests.clients.with_openai import CASES, MESSAGES, client_of
from tests.models import babbling_model
from tests.service import Process

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    with Process("up", "--port", "0", NUNMAL_HOME=str(home)) as process:
        address = process.wait_ready()
        make_user(home, "sdk@example.com", "프로그램")
        yield Service(f"{address}/v1", make_key(home, "sdk@example.com"), "reference")
    assert "Traceback" not in process.output


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_case(service: Service, case: Case) -> None:
    case(service)


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """A model that writes for seconds, and one answer at a time for each account."""
    model = babbling_model(tmp_path_factory.mktemp("model") / "babbler", max_new_tokens=1000)
    home = tmp_path_factory.mktemp("home")
    settings = {"NUNMAL_HOME": str(home), "NUNMAL_MODEL": str(model), "NUNMAL_WEB__ANSWERS_PER_USER": "1"}
    with Process("up", "--port", "0", **settings) as process:
        address = process.wait_ready()
        make_user(home, "sdk@example.com", "프로그램")
        with client_of(Service(f"{address}/v1", make_key(home, "sdk@example.com"), "babbler")) as client:
            yield client


def test_who_is_refused_tries_again_when_told_and_gets_an_answer(babbler: OpenAI) -> None:
    refused = threading.Event()

    def seen(response: Any) -> None:
        if response.status_code == 429:
            assert int(response.headers["Retry-After"]) >= 1
            refused.set()

    with babbler.chat.completions.create(model="babbler", messages=MESSAGES, stream=True) as stream:
        next(iter(stream))
        with pytest.raises(openai.RateLimitError) as caught:
            babbler.chat.completions.create(model="babbler", messages=MESSAGES, max_tokens=3)
        assert caught.value.code == "rate_limit_exceeded"

        with openai.DefaultHttpxClient(event_hooks={"response": [seen]}) as http, ThreadPoolExecutor(1) as pool:
            patient = babbler.with_options(max_retries=8, http_client=http)
            later = pool.submit(patient.chat.completions.create, model="babbler", messages=MESSAGES, max_tokens=3)
            assert refused.wait(30)
            stream.close()
            assert later.result(60).choices[0].message.content


def test_a_stream_that_is_closed_frees_its_slot(babbler: OpenAI) -> None:
    with babbler.chat.completions.create(model="babbler", messages=MESSAGES, stream=True) as stream:
        first = next(iter(stream))
    babbler.with_options(max_retries=8).chat.completions.create(model="babbler", messages=MESSAGES, max_tokens=1)

    job = babbler.get(f"/jobs/{first.id}", cast_to=httpx.Response).json()
    assert job["status"] == "stopped"
    assert job["result"]["usage"]["completion_tokens"] < 1000
