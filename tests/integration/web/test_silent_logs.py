"""Secrets and people's words are planted through real requests, well and badly done; no log line may carry any."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Literal
from urllib.parse import quote

import pyotp
import pytest
from prometheus_client import generate_latest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.store import Store, connection
from shared.telemetry import configure_logging
from tests.integration.web.api.conftest import Program
from tests.web_visitor import WebVisitor, web_settings
from web.app import create_app

_SECRETS = {
    "secret key": "planted-secret-key-" + "k" * 32,
    "smtp password": "planted-smtp-password",
    "store password": "planted-store-password",
    "password": "planted password 가나다",
    "wrong password": "planted wrong password 라마바",
    "question": "심어 둔 질문 한 줄",
    "prompt": "심어 둔 지시 한 줄",
    "name": "박심음",
    "e-mail": "planted.person@example.com",
    "broken": "planted-broken-body",
}
_CLOSED_PORT = 9  # discard: nothing listens there


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in ("", *_rooms())}
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def _rooms() -> tuple[str, ...]:
    return ("shared", "web", "workers", "vision", "training", "infra", "aio_pika", "aiormq")


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """All that a process at level debug would write to standard error."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    log_format: Literal["text", "json"] = request.param
    configure_logging(log_format, "debug")
    logging.getLogger("web.test").debug("log_reads_along")
    return written


def _app(store: Store, broker: MemoryBroker) -> Quart:
    settings = web_settings(
        secret_key=_SECRETS["secret key"],
        web={"bcrypt_rounds": 4, "public_url": "https://chat.example.com"},
        mail={"url": f"smtp://user:{_SECRETS['smtp password']}@127.0.0.1:{_CLOSED_PORT}?from=a@example.com&tls=none"},
    )
    return create_app(settings, broker, store, node_id="node")


async def _live(app: Quart, store: Store) -> dict[str, str]:
    """Sign up, fail and succeed at everything, leave; returns the secrets that came into being on the way."""
    made: dict[str, str] = {}
    visitor = WebVisitor(app)
    await visitor.get("/signup")
    person = {"email": _SECRETS["e-mail"], "name": _SECRETS["name"], "password": _SECRETS["password"]}
    assert (await visitor.post("/signup", **person)).status_code == 303
    other = WebVisitor(app)
    await other.get("/signup")
    assert (await other.post("/signup", **person)).status_code == 409
    await other.get("/login")
    wrong = {"email": _SECRETS["e-mail"], "password": _SECRETS["wrong password"]}
    assert (await other.post("/login", **wrong)).status_code == 401
    assert (await other.post_raw("/login", f"{_SECRETS['broken']}=%FF".encode())).status_code == 400
    assert (await other.post_raw("/login", _SECRETS["broken"].encode(), "application/json")).status_code == 400

    await visitor.get("/chat")
    assert visitor.client.cookie_jar is not None
    made |= {cookie.name: cookie.value or "" for cookie in visitor.client.cookie_jar}
    assert "nunmal_session" in made
    assert (await visitor.ask(_SECRETS["question"])).status_code == 303
    await visitor.get("/account/second-step")
    assert (await visitor.post("/account/second-step", old_password=_SECRETS["wrong password"])).status_code == 403
    await visitor.post("/account/second-step", old_password=_SECRETS["password"])
    made["totp shown"] = re.findall(r'class="totp-secret">([A-Z2-7 ]+)<', visitor.page)[0]
    made["totp secret"] = made["totp shown"].replace(" ", "")
    made["enrolment"] = re.findall(r'name="enrolment" value="([^"]+)"', visitor.page)[0]
    made["code"] = pyotp.TOTP(made["totp secret"]).at(time.time())
    await visitor.post("/account/second-step/on", enrolment=made["enrolment"], code="planted-code-000")
    await visitor.post("/account/second-step/on", enrolment=made["enrolment"], code=made["code"])
    made["recovery code"] = re.findall(r"<code>([a-z2-9-]{14})</code>", visitor.page)[0]

    await visitor.get("/keys")
    await visitor.post("/keys", name=_SECRETS["name"], scope_chat="on", scope_jobs="on", expires_days="30")
    made["api key"] = re.findall(r"sk-nunmal-[A-Za-z0-9_-]{48}", visitor.page)[0]
    program = Program(app, "", made["api key"])
    body = {"model": "test", "messages": [{"role": "user", "content": _SECRETS["prompt"]}], "temperature": "warm"}
    assert (await program.post("/v1/chat/completions", body)).status_code == 400
    body = {"model": _SECRETS["broken"], "messages": [{"role": "user", "content": _SECRETS["prompt"]}]}
    assert (await program.post("/v1/chat/completions", body)).status_code == 404
    assert (await program.post_raw("/v1/chat/completions", _SECRETS["broken"].encode())).status_code == 400
    job = {"model": "test", "messages": [{"role": "user", "content": _SECRETS["prompt"]}]}
    assert (await program.post("/v1/jobs", job)).status_code == 202

    await other.get("/reset")
    await other.post("/reset", email=_SECRETS["e-mail"])
    user = await store.users.by_email(_SECRETS["e-mail"])
    assert user is not None
    made["reset token"] = await store.resets.create(user.id, timedelta(minutes=5))
    await other.get(f"/reset/{made['reset token']}")
    await other.post(f"/reset/{made['reset token']}", password="short")
    await visitor.get("/account")
    await visitor.post("/account/download")
    await visitor.get("/account/delete")
    assert (await visitor.post("/account/delete", old_password=_SECRETS["wrong password"])).status_code == 403
    return made


async def _knock(app: Quart) -> None:
    """The same doors while the store is away."""
    visitor = WebVisitor(app)
    assert (await visitor.get("/signup")).status_code == 200
    person = {"email": _SECRETS["e-mail"], "name": _SECRETS["name"], "password": _SECRETS["password"]}
    assert (await visitor.post("/signup", **person)).status_code == 503
    assert (await visitor.post("/login", email=person["email"], password=person["password"])).status_code == 503
    program = Program(app, "", "sk-nunmal-" + "p" * 48)
    body = {"model": "test", "messages": [{"role": "user", "content": _SECRETS["prompt"]}]}
    assert (await program.post("/v1/chat/completions", body)).status_code == 503


def _leaked(log: io.StringIO, secrets: dict[str, str]) -> list[str]:
    text = re.sub(r"\\+", r"\\", log.getvalue() + generate_latest().decode())  # escaped once, however often it was
    shapes = {
        name: {value, repr(value)[1:-1], json.dumps(value)[1:-1], quote(value)} for name, value in secrets.items()
    }
    return [name for name, values in shapes.items() if any(value in text for value in values)]


async def test_nothing_planted_is_logged_or_measured(
    log: io.StringIO, store: Store, memory_broker: MemoryBroker
) -> None:
    app = _app(store, memory_broker)
    async with app.test_app():
        made = await _live(app, store)

    assert "log_reads_along" in log.getvalue()
    assert "mail_not_sent" in log.getvalue()
    assert _leaked(log, _SECRETS | made) == []


async def test_nothing_is_logged_while_the_store_is_away(
    log: io.StringIO, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_TIMEOUT_MS", 50)
    away = Store(f"mongodb://web:{_SECRETS['store password']}@127.0.0.1:{_CLOSED_PORT}/", "test")
    try:
        await _knock(_app(away, memory_broker))
    finally:
        await away.__aexit__()

    assert "p" * 48 not in log.getvalue()
    assert _leaked(log, _SECRETS) == []


async def test_libraries_that_may_speak_would_be_caught(
    log: io.StringIO, store: Store, memory_broker: MemoryBroker
) -> None:
    """The store's driver writes down whole documents at level debug."""
    logging.getLogger().setLevel(logging.DEBUG)
    app = _app(store, memory_broker)
    async with app.test_app():
        made = await _live(app, store)

    assert {"question", "e-mail", "name"} <= set(_leaked(log, _SECRETS | made))
