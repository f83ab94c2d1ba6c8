"""A person without a browser: posts forms with their CSRF tokens through Quart's test client."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pyotp
from quart import Quart, Response

from shared.ids import new_id
from shared.settings import Settings, load_settings

PASSWORD = "아주 긴 비밀번호 하나"


def web_settings(**overrides: Any) -> Settings:
    """Settings of a web node under test: cheap hashes, a fixed key, the lane `chat.test`."""
    values: dict[str, Any] = {
        "model": "test",
        "secret_key": "k" * 40,
        "web": {"bcrypt_rounds": 4, "answers_per_user": 4, "sign_ups_per_address": 100, "gate": "off"},
        "worker": {"stale_after_s": 30.0},
    }
    return load_settings({}, **{**values, **overrides})


class WebVisitor:
    """Has cookies of its own; remembers the page it saw last."""

    def __init__(self, app: Quart) -> None:
        self.client = app.test_client()
        self.page = ""

    async def get(self, path: str, **options: Any) -> Response:
        response = await self.client.get(path, **options)
        return await self._seen(response)

    async def post(self, path: str, /, **fields: str) -> Response:
        """Post a form with the CSRF token of the page seen last (unless `csrf_token` is given)."""
        return await self.post_raw(path, urlencode({"csrf_token": self.csrf_token, **fields}).encode())

    async def post_raw(
        self, path: str, body: bytes, content_type: str = "application/x-www-form-urlencoded"
    ) -> Response:
        headers = {"Content-Type": content_type, "Content-Length": str(len(body))}
        response = await self.client.post(path, data=body, headers=headers)
        return await self._seen(response)

    async def sign_up(self, name: str = "김하늘") -> str:
        """Returns the e-mail address."""
        email = f"{new_id()}@example.com"
        await self.get("/signup")
        response = await self.post("/signup", email=email, name=name, password=PASSWORD)
        assert response.status_code == 303, self.page
        await self.get("/chat")
        return email

    async def switch_on_second_step(self) -> list[str]:
        """Returns the recovery codes, each good for one check."""
        await self.get("/account/second-step")
        await self.post("/account/second-step", old_password=PASSWORD)
        secret = re.findall(r'class="totp-secret">([A-Z2-7 ]+)<', self.page)[0].replace(" ", "")
        fields = {"enrolment": self._value("enrolment"), "code": pyotp.TOTP(secret).now()}
        response = await self.post("/account/second-step/on", **fields)
        assert response.status_code == 200, self.page
        codes = re.findall(r"<code>([a-z2-9-]{14})</code>", self.page)
        await self.get("/chat")
        return codes

    async def ask(self, message: str, path: str = "/chat", **fields: str) -> Response:
        """Send the composer's form as the page seen last has it, and follow to the conversation."""
        response = await self.post(path, **{"generation_id": self.generation_id, "message": message, **fields})
        if response.status_code == 303:
            await self.get(response.location or "")
        return response

    @property
    def csrf_token(self) -> str:
        return self._value("csrf_token")

    @property
    def generation_id(self) -> str:
        return self._value("generation_id")

    @property
    def stream_url(self) -> str:
        """Of the last answer on the page, from where the page has it (from its beginning if it is over)."""
        conversation = re.findall(r'action="(/chat/[^"/]+)/stop"', self.page)[-1]
        generation_id = re.findall(r'id="turn-([^"]+)"', self.page)[-1]
        found = re.findall(rf'stream/{generation_id}" data-position="([^"]+)"', self.page)
        return f"{conversation}/stream/{generation_id}?from={found[0] if found else '0.0'}"

    def _value(self, name: str) -> str:
        found = re.search(rf'name="{name}" value="([^"]+)"', self.page)
        return found[1] if found else ""

    async def _seen(self, response: Any) -> Response:
        body = await response.get_data(as_text=True)
        if '<html lang="' in body:
            self.page = body
        assert isinstance(response, Response)
        return response


@dataclass(frozen=True, slots=True)
class Event:
    """One Server-Sent Event as it came."""

    name: str
    id: str
    data: Any


def parse_events(body: str) -> list[Event]:
    """All events of a stream's text; comments and `retry:` lines are skipped."""
    events = []
    for chunk in body.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in chunk.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in lines:
            events.append(Event(lines["event"], lines.get("id", ""), json.loads(lines["data"])))
    return events


def text_of(events: list[Event], start: str = "") -> str:
    """What a browser that had `start` has after these events."""
    text = start
    for event in events:
        if event.name == "text":
            assert event.data["offset"] <= len(text)
            text = text[: event.data["offset"]] + event.data["text"]
            assert event.id.endswith(f".{len(text)}")
    return text
