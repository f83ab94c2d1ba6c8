"""No address that a person or a model names is ever asked for anything, neither by us nor by a page of ours."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup
from quart import Quart

from shared.broker.memory import MemoryBroker
from shared.chat import Generation, GenerationState
from shared.store import Store
from tests.factories import LANE, generation
from tests.integration.web.api.conftest import Program, program_of
from tests.scripted_worker import ScriptedWorker
from tests.web_visitor import WebVisitor, parse_events
from web.chat.markdown import render

_OUTSIDE = "outside.example.com"
_HOSTILE = f"""
![그림](https://{_OUTSIDE}/a.png) ![](http://{_OUTSIDE}/b.png "제목") [![안](//{_OUTSIDE}/c.png)](https://{_OUTSIDE}/d)
[링크](https://{_OUTSIDE}/e) <https://{_OUTSIDE}/f> https://{_OUTSIDE}/g ![ref][r]
<img src="https://{_OUTSIDE}/h.png"><iframe src="https://{_OUTSIDE}/i"></iframe><link href="https://{_OUTSIDE}/j">
<script src="https://{_OUTSIDE}/k"></script><style>@import url(https://{_OUTSIDE}/l)</style><svg><image href="https://{_OUTSIDE}/m"/></svg>
<video poster="https://{_OUTSIDE}/n"></video><p style="background:url(https://{_OUTSIDE}/o)">가</p>

| 가 |
|---|
| ![칸](https://{_OUTSIDE}/p.png) |

[r]: https://{_OUTSIDE}/q.png
"""
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
# Everything that makes a browser fetch something by itself; a link (a) waits for a person.
_FETCHING = ("src", "srcset", "poster", "data", "background", "action", "formaction", "ping", "xlink:href", "style")


class Guard:
    """Hears of every connection and every name that this interpreter looks up while it is open."""

    def __init__(self) -> None:
        self.is_open = False
        self.outside: list[str] = []

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_open:
            return
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            self._note(str(arguments[1][0]))
        elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
            self._note(str(arguments[0] if event != "socket.sendto" else arguments[1]))

    def _note(self, host: str) -> None:
        if host not in _LOOPBACK:
            self.outside.append(host)


_GUARD = Guard()
sys.addaudithook(_GUARD.hear)  # cannot be taken away again, so it is opened and closed


@pytest.fixture
def guard() -> Iterator[Guard]:
    _GUARD.outside.clear()
    _GUARD.is_open = True
    yield _GUARD
    _GUARD.is_open = False


async def _hostile(asked: Generation) -> Any:
    yield _HOSTILE


def _remote(html: str) -> list[str]:
    """What a browser would fetch from elsewhere."""
    found = []
    for tag in BeautifulSoup(html, "html.parser").find_all(True):
        names = (*_FETCHING, *(() if tag.name == "a" else ("href",)))
        found += [f"{tag.name} {tag[name]}" for name in names if tag.has_attr(name) and _is_remote(str(tag[name]))]
    return found


def _is_remote(value: str) -> bool:
    parts = urlsplit(value)
    return bool(parts.netloc) or parts.scheme not in ("", "data") or _OUTSIDE in value


async def test_the_guard_hears(guard: Guard) -> None:
    with contextlib.suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing, and nobody is there (RFC 5737)

    assert guard.outside == ["192.0.2.1"]
    assert _remote(f'<p style="background:url(https://{_OUTSIDE})"><img src="//{_OUTSIDE}/a">') != []


async def test_a_chat_about_addresses_asks_none_of_them(
    guard: Guard, store: Store, memory_broker: MemoryBroker, person: WebVisitor
) -> None:
    async with ScriptedWorker(store, memory_broker, LANE, _hostile):
        await person.ask(_HOSTILE)
        stream = await person.client.get(person.stream_url)
        events = parse_events(await stream.get_data(as_text=True))
    await person.get(person.stream_url.partition("/stream")[0])

    assert events[-1].data["state"] == "done"
    html = [
        events[-1].data["html"],
        *(block["html"] for event in events[:-1] for block in event.data.get("blocks", ())),
    ]
    assert [_remote(part) for part in (*html, person.page) if _remote(part)] == []
    assert f"그림 (https://{_OUTSIDE}/a.png)" in html[0]
    assert guard.outside == []


async def _branch(store: Store, turn: Generation) -> list[Generation]:
    return await store.generations.branch(turn.id, turn.user_id)


async def test_no_page_refers_to_another_site(guard: Guard, app: Quart, store: Store, person: WebVisitor) -> None:
    (user,) = await store.users.everyone()
    turn = generation(user_id=user.id, question=_HOSTILE)
    await store.generations.add(turn)
    claimed = await store.generations.claim(LANE, "w")
    assert claimed is not None
    await store.generations.finish(turn.id, claimed.attempt, GenerationState.DONE, [1], _HOSTILE)
    await store.conversations.create(turn.conversation_id, user.id, f"https://{_OUTSIDE}", turn.id)
    anonymous = WebVisitor(app)
    conversation, filed = f"/chat/{turn.conversation_id}", f"/library/{turn.conversation_id}"
    shared = f"/shared/{await store.shares.add(user.id, turn.conversation_id, _HOSTILE, await _branch(store, turn))}"
    for visitor, paths in (
        (person, ("/chat", conversation, "/account", "/account/delete", "/keys", "/usage", "/notices")),
        (person, ("/library", "/library/links", "/library/import", filed, f"{filed}/print")),
        (anonymous, (shared, "/login", "/signup", "/reset", "/account/deleted", "/developers", "/nothing-here")),
    ):
        for path in paths:
            await visitor.get(path)
            assert _remote(visitor.page) == [], path
    assert guard.outside == []


def _chat(**changes: Any) -> dict[str, Any]:
    return {"model": "test", "messages": [{"role": "user", "content": "안녕?"}], **changes}


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


async def test_addresses_given_to_the_api_are_refused_or_left_alone(guard: Guard, app: Quart, store: Store) -> None:
    program: Program = await program_of(app, store)
    picture = {"type": "image_url", "image_url": {"url": f"https://{_OUTSIDE}/a.png"}}
    bodies = [
        _chat(messages=[{"role": "user", "content": [{"type": "text", "text": "뭐야?"}, picture]}]),
        _chat(**_schema({"$ref": f"https://{_OUTSIDE}/schema.json"})),
        _chat(**_schema({"type": "object", "properties": {"a": {"$ref": f"http://{_OUTSIDE}/b#/c"}}})),
        _chat(**_schema({"$dynamicRef": f"http://{_OUTSIDE}/b"})),
    ]
    for body in bodies:
        response = await program.post("/v1/chat/completions", body)
        assert response.status_code == 400, await response.get_data(as_text=True)
    declared = _schema({"$schema": f"http://{_OUTSIDE}/x", "$id": f"http://{_OUTSIDE}/y", "type": "string"})
    response = await program.post("/v1/jobs", _chat(**declared))
    assert response.status_code in (202, 400)

    assert guard.outside == []


def test_pictures_become_words_wherever_they_stand() -> None:
    html = render(_HOSTILE)

    assert "<img" not in html
    assert _remote(html) == []
