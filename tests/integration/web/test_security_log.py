"""Who is let in and who is refused leaves a line with ids and the address, a count, and no word of anybody."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pyotp
import pytest
from prometheus_client import REGISTRY
from quart import Quart

from shared.store import Store
from tests.web_visitor import PASSWORD, WebVisitor
from web.security_log import SecurityEvent

_WRONG = "틀린 비밀번호예요 정말"
_PEER = {"scope_base": {"client": ("203.0.113.7", 1)}}


class Lines:
    """What was noted since the last look."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self._counts = self._counted()

    def new(self) -> list[tuple[str, str]]:
        """Event and user's id of each line; they were counted as well."""
        records = [record for record in self._caplog.records if record.name == "web.security_log"]
        self._caplog.clear()
        before, self._counts = self._counts, self._counted()
        assert sum(self._counts.values()) - sum(before.values()) == len(records)
        for record in records:
            assert self._counts[record.message] > before[record.message]
        return [(record.message, record.fields.get("user_id", "")) for record in records]  # type: ignore[attr-defined]

    def _counted(self) -> dict[str, float]:
        name = "nunmal_security_events_total"
        return {event.value: REGISTRY.get_sample_value(name, {"kind": event.value}) or 0.0 for event in SecurityEvent}


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    caplog.set_level(logging.INFO, "web")
    yield Lines(caplog)


async def _id(store: Store, email: str) -> str:
    user = await store.users.by_email(email)
    assert user is not None
    return user.id


async def test_log_ins_refusals_and_waits(app: Quart, store: Store, lines: Lines) -> None:
    email = await WebVisitor(app).sign_up()
    visitor, user_id = WebVisitor(app), await _id(store, email)
    await visitor.get("/login")
    lines.new()
    for address in (email, "nobody@example.com"):
        await visitor.post("/login", email=address, password=_WRONG)
    assert lines.new() == [("log_in_refused", user_id), ("log_in_refused", "")]
    await visitor.post("/login", email=email, password=PASSWORD)
    assert lines.new() == [("logged_in", user_id)]

    stranger = WebVisitor(app)
    await stranger.get("/login")
    for _ in range(6):
        await stranger.post("/login", email="nobody@example.com", password=_WRONG)
    assert lines.new()[-1] == ("try_throttled", "")


async def test_forged_forms_closed_doors_and_wrong_passwords(person: WebVisitor, lines: Lines, store: Store) -> None:
    (document,) = await store.users._users.find({}).to_list(None)
    lines.new()
    await person.post("/account/name", csrf_token="x", name="가")
    await person.get("/ops/access")
    await person.get("/account/password")
    await person.post("/account/password", old_password=_WRONG, password="아주 다른 비밀번호 둘")

    kinds = ("csrf_refused", "role_refused", "password_refused")
    assert lines.new() == [(kind, document["_id"]) for kind in kinds]


async def test_keys_that_are_wrong_or_for_something_else(app: Quart, store: Store, lines: Lines) -> None:
    user_id = await _id(store, await WebVisitor(app).sign_up())
    _, secret = await store.keys.create(user_id, scopes=["models"])
    lines.new()
    for key in (f"sk-nunmal-{'a' * 48}", secret):
        await app.test_client().get("/v1/jobs/unknown", headers={"Authorization": f"Bearer {key}"})

    assert lines.new() == [("key_refused", ""), ("scope_refused", user_id)]


async def test_codes_that_are_wrong_or_used_again(app: Quart, store: Store, lines: Lines) -> None:
    person = WebVisitor(app)
    email = await person.sign_up()
    user_id = await _id(store, email)
    await person.get("/account/second-step")
    await person.post("/account/second-step", old_password=PASSWORD)
    secret = person.page.partition('class="totp-secret">')[2].partition("<")[0].replace(" ", "")
    code = pyotp.TOTP(secret).at(time.time())
    await person.post("/account/second-step/on", code=code, enrolment=person._value("enrolment"))
    visitor = WebVisitor(app)
    await visitor.get("/login")
    await visitor.post("/login", email=email, password=PASSWORD)
    lines.new()

    await visitor.post("/login/code", code="nonsense")
    assert lines.new() == [("code_refused", user_id)]
    await visitor.post("/login/code", code=code)
    assert lines.new() == [("code_reused", user_id), ("code_refused", user_id)]


async def test_a_line_has_the_address_and_no_e_mail(app: Quart, caplog: pytest.LogCaptureFixture) -> None:
    client = app.test_client()
    page = await (await client.get("/login", **_PEER)).get_data(as_text=True)
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "email": "planted@example.com", "password": _WRONG}
    await client.post("/login", form=form, **_PEER)

    (record,) = [record for record in caplog.records if record.name == "web.security_log"]
    assert record.fields == {"address": "203.0.113.7"}  # type: ignore[attr-defined]  # of our log calls
