"""Whole processes at log level debug: what people write, their passwords and ours, are in none of their words."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import httpx
import pytest

from shared.store import Store
from tests.service import PASSWORD, Person, Process

_KEY = "planted-secret-key-" + "k" * 32
_SMTP = "planted-smtp-password"
_BROKER = "planted-broker-password"
_STORE = "planted-store-password"
_QUESTION = "심어둔 질문"
_PROMPT = "심어둔 지시"
_EMAIL = "planted.person@example.com"
_WRONG = "planted wrong password"


def _live(address: str) -> list[str]:
    """Everything once, well and badly; returns the secrets that came into being."""
    with Person(address) as person:
        person.sign_up(_EMAIL, "박심음")
        conversation = person.ask(_QUESTION)
        (turn,) = person.turns(conversation)
        person.whole(conversation, turn.generation_id)
        answer = person.turns(conversation)[0].text  # the stream has none of it if it began after the end
        page = person.post("/keys", "/keys", name="심은열쇠", scope_chat="on", expires_days="30").text
        key = re.findall(r"sk-nunmal-[A-Za-z0-9_-]{48}", page)[0]
        cookies = [cookie.value or "" for cookie in person._client.cookies.jar]
        assert len(answer) > 3
        person.post("/account/password", "/account/password", old_password=_WRONG, password=_WRONG)
        person.post("/account/delete", "/account/delete", old_password=_WRONG)
    with Person(address) as stranger:
        assert stranger.post("/login", "/login", email=_EMAIL, password=_WRONG).status_code == 401
        stranger.post("/reset", "/reset", email=_EMAIL)
        assert stranger.get(f"/reset/{_WRONG.replace(' ', '-')}").status_code == 404
    headers = {"Authorization": f"Bearer {key}"}
    chat = {"model": "reference", "messages": [{"role": "user", "content": _PROMPT}], "max_tokens": 4}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as program:
        assert program.post("/v1/chat/completions", json=chat).status_code == 200
        assert program.post("/v1/chat/completions", json=chat | {"temperature": _PROMPT}).status_code == 400
        assert program.post("/v1/chat/completions", content=f'{{"{_PROMPT}').status_code in (400, 415)
    return [key, answer, *cookies]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_whole_service_keeps_silent(tmp_path: Path, log_format: str) -> None:
    settings = {
        "NUNMAL_HOME": str(tmp_path),
        "NUNMAL_LOG_LEVEL": "debug",
        "NUNMAL_LOG_FORMAT": log_format,
        "NUNMAL_SECRET_KEY": _KEY,
        "NUNMAL_WEB__BCRYPT_ROUNDS": "4",
        "NUNMAL_WEB__PUBLIC_URL": "https://chat.example.com",
        "NUNMAL_MAIL__URL": f"smtp://user:{_SMTP}@127.0.0.1:9?from=a@example.com&tls=none",
    }
    with Process("up", "--port", "0", **settings) as service:
        made = _live(service.wait_ready(120))
        metrics = re.findall(r"http://127\.0\.0\.1:\d+/metrics", service.output)[0]
        measured = httpx.get(metrics, timeout=10).text
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
    files = [path for path in tmp_path.rglob("*.log") if path.is_file()]
    said = service.output + measured + "".join(path.read_text("utf-8", "replace") for path in files)

    assert "worker_ready" in said
    assert "mail_not_sent" in said
    secrets = [_KEY, _SMTP, _QUESTION, _PROMPT, _EMAIL, _WRONG, PASSWORD, "박심음", "심은열쇠", *made]
    shapes = {secret: (secret, secret.encode("unicode_escape").decode()) for secret in secrets}
    assert [secret for secret, forms in shapes.items() if any(form in said for form in forms)] == []


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("command", ["web", "worker"])
def test_services_that_are_away_are_named_without_passwords(command: str, log_format: str) -> None:
    settings = {
        "NUNMAL_LOG_LEVEL": "debug",
        "NUNMAL_LOG_FORMAT": log_format,
        "NUNMAL_SECRET_KEY": _KEY,
        "NUNMAL_STORE_URL": f"mongodb://user:{_STORE}@127.0.0.1:9/",
        "NUNMAL_BROKER_URL": f"amqp://user:{_BROKER}@127.0.0.1:9/nunmal",
    }
    with Process(command, *(["--port", "0"] if command == "web" else []), **settings) as process:
        assert process.wait(60) == 1

    assert "nunmal: " in process.output
    assert [secret for secret in (_KEY, _STORE, _BROKER) if secret in process.output] == []


async def test_a_broker_that_is_away_is_named_without_its_password(store: Store, store_url: str) -> None:
    settings = {
        "NUNMAL_LOG_LEVEL": "debug",
        "NUNMAL_SECRET_KEY": _KEY,
        "NUNMAL_STORE_URL": store_url,
        "NUNMAL_STORE_DATABASE": store._database.name,
        "NUNMAL_BROKER_URL": f"amqp://user:{_BROKER}@127.0.0.1:9/nunmal",
    }
    with Process("web", "--port", "0", **settings) as process:
        assert await asyncio.to_thread(process.wait, 60) == 1

    assert "nunmal: " in process.output
    assert _BROKER not in process.output
