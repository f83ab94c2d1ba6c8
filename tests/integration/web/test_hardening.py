"""The headers every answer carries, what may be cached, and whom to tell about a hole."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.errors import ConfigError
from shared.settings import load_settings
from shared.store import Store
from tests.web_visitor import WebVisitor, web_settings
from web.app import create_app

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_CONTACT = "mailto:security@example.com"


def _node(store: Store, broker: MemoryBroker, **web: str | bool) -> WebVisitor:
    settings = web_settings(web={"bcrypt_rounds": 4, **web})
    return WebVisitor(create_app(settings, broker, store, node_id="other"))


@pytest.mark.parametrize(
    "path",
    ["/login", "/chat", "/account", "/nothing", "/v1/models", "/v1/nothing", "/healthz", "/favicon.ico", "/static/x/y"],
)
async def test_every_answer_is_guarded(person: WebVisitor, path: str) -> None:
    response = await person.get(path)

    assert {name: response.headers.get(name) for name in _HEADERS} == _HEADERS
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    for power in ("camera", "geolocation", "microphone", "payment", "usb"):
        assert f"{power}=()" in response.headers["Permissions-Policy"]
    assert "Server" not in response.headers
    assert "X-Powered-By" not in response.headers


@pytest.mark.parametrize("path", ["/chat", "/account", "/account/delete", "/keys", "/usage", "/notices", "/nothing"])
async def test_private_pages_are_kept_nowhere(person: WebVisitor, path: str) -> None:
    assert (await person.get(path)).headers["Cache-Control"] == "no-store"


async def test_a_stream_is_kept_nowhere(person: WebVisitor) -> None:
    await person.ask("안녕?")
    async with person.client.request(person.stream_url) as stream:
        await stream.receive()
        assert stream.headers["Cache-Control"] == "no-store"  # type: ignore[attr-defined]  # not in the protocol
        await stream.disconnect()


async def test_behind_https_browsers_are_told_to_stay_there(
    store: Store, memory_broker: MemoryBroker, visitor: WebVisitor
) -> None:
    secure = await _node(store, memory_broker, secure_cookies=True).get("/login")
    plain = await visitor.get("/login")

    assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert re.match(r"__Host-\w+=.*; Secure; HttpOnly; Path=/; SameSite=Lax", secure.headers["Set-Cookie"])
    assert "Strict-Transport-Security" not in plain.headers


async def test_who_finds_a_hole_is_told_whom_to_tell(store: Store, memory_broker: MemoryBroker) -> None:
    node = _node(store, memory_broker, security_contact=_CONTACT, public_url="https://chat.example.com")
    response = await node.get("/.well-known/security.txt")

    assert (response.status_code, response.content_type) == (200, "text/plain; charset=utf-8")
    lines = dict(line.split(": ", 1) for line in (await response.get_data(as_text=True)).splitlines())
    assert lines.pop("Expires") >= (datetime.now(UTC) + timedelta(days=30)).isoformat()
    assert lines == {
        "Contact": _CONTACT,
        "Preferred-Languages": "ko, en",
        "Canonical": "https://chat.example.com/.well-known/security.txt",
    }


async def test_without_a_contact_there_is_no_such_file(app: Quart, visitor: WebVisitor) -> None:
    assert (await visitor.get("/.well-known/security.txt")).status_code == 404


@pytest.mark.parametrize("contact", ["a@example.com", "http://example.com", "mailto:a@b.c\nPolicy: x", "mailto:"])
def test_a_contact_is_an_address_that_can_be_used(contact: str) -> None:
    with pytest.raises(ConfigError, match="NUNMAL_WEB__SECURITY_CONTACT"):
        load_settings({"NUNMAL_WEB__SECURITY_CONTACT": contact})
