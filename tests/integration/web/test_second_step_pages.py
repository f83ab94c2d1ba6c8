"""The second step of a log-in: switched on with a code, asked for at log-in, each code good once."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator

import pyotp
import pytest
from quart import Quart, Response

from shared.broker.memory import MemoryBroker
from shared.store import Store
from tests.web_visitor import PASSWORD, WebVisitor, web_settings
from web.app import create_app


@pytest.fixture
async def other_app(app: Quart, store: Store, memory_broker: MemoryBroker) -> AsyncIterator[Quart]:
    """A second node over the same store."""
    other = create_app(web_settings(), memory_broker, store, node_id="other")
    async with other.test_app():
        yield other


class Owner:
    """Somebody whose account has a second step."""

    def __init__(self, visitor: WebVisitor, email: str, secret: str, codes: list[str], enrolment: str = "") -> None:
        self.visitor = visitor
        self.email = email
        self.secret = secret
        self.codes = codes
        self.enrolment = enrolment

    def code(self, ahead: int = 0) -> str:
        """Of now, or of so many half minutes later: the one before was used up by switching on."""
        return pyotp.TOTP(self.secret).at(time.time(), counter_offset=ahead)

    async def password(self, app: Quart, next_path: str = "") -> WebVisitor:
        """A browser after the first step."""
        visitor = WebVisitor(app)
        await visitor.get("/login")
        response = await visitor.post("/login", email=self.email, password=PASSWORD, next=next_path)
        assert response.status_code == 200
        return visitor


async def _enrol(visitor: WebVisitor) -> tuple[str, dict[str, str]]:
    """The secret as the page shows it, and the form's hidden fields."""
    await visitor.get("/account/second-step")
    assert (await visitor.post("/account/second-step", old_password=PASSWORD)).status_code == 200
    secret = re.findall(r'class="totp-secret">([A-Z2-7 ]+)<', visitor.page)[0].replace(" ", "")
    return secret, {"enrolment": re.findall(r'name="enrolment" value="([^"]+)"', visitor.page)[0]}


async def _owner(app: Quart) -> Owner:
    visitor = WebVisitor(app)
    email = await visitor.sign_up()
    secret, fields = await _enrol(visitor)
    for _ in range(2):  # the code of the half-minute before is too old if this one ends on its way
        code = pyotp.TOTP(secret).at(time.time(), counter_offset=-1)
        switched = await visitor.post("/account/second-step/on", code=code, **fields)
        if switched.status_code == 200:
            break
    assert switched.status_code == 200
    codes = re.findall(r"<code>([a-z2-9-]{14})</code>", visitor.page)
    return Owner(visitor, email, secret, codes, fields["enrolment"])


@pytest.fixture
async def owner(app: Quart) -> Owner:
    return await _owner(app)


async def _is_in(visitor: WebVisitor) -> bool:
    return (await visitor.client.get("/chat")).status_code == 200


async def test_enrolment_needs_the_password_and_shows_a_picture(person: WebVisitor) -> None:
    await person.get("/account/second-step")
    refused = await person.post("/account/second-step", old_password="틀린 비밀번호예요 정말")
    assert refused.status_code == 403
    assert "totp-secret" not in person.page

    secret, _ = await _enrol(person)
    assert len(secret) == 32
    assert re.search(r'<img class="qr" src="data:image/svg\+xml[^"]+" alt="인증 앱으로 찍는 QR 코드"', person.page)


async def test_a_wrong_code_switches_nothing_on_and_shows_the_same_secret_again(
    person: WebVisitor, store: Store
) -> None:
    secret, fields = await _enrol(person)
    response = await person.post("/account/second-step/on", code="000000", **fields)

    assert response.status_code == 403
    assert "인증 코드가 맞지 않거나" in person.page
    assert " ".join(re.findall("....", secret)) in person.page
    assert await store.second_steps._steps.count_documents({}) == 0


@pytest.mark.parametrize("enrolment", ["", "nonsense", "가"])
async def test_without_the_password_no_secret_is_shown(person: WebVisitor, enrolment: str) -> None:
    await person.get("/account/second-step")
    response = await person.post("/account/second-step/on", code="000000", enrolment=enrolment)

    assert response.status_code == 409
    assert "totp-secret" not in person.page


async def test_ten_recovery_codes_are_shown_once_and_nothing_is_stored_in_clear(owner: Owner, store: Store) -> None:
    assert len(set(owner.codes)) == 10
    await owner.visitor.get("/account/second-step")
    assert not any(code in owner.visitor.page for code in owner.codes)
    assert "복구 코드가 10개 남았어요" in owner.visitor.page

    rows = repr(await store.second_steps._steps.find({}).to_list(None))
    rows += repr(await store.second_steps._codes.find({}).to_list(None))
    assert owner.secret not in rows
    assert not any(code in rows or code.replace("-", "") in rows for code in owner.codes)


async def test_the_password_alone_is_not_enough(app: Quart, owner: Owner) -> None:
    visitor = await owner.password(app)

    assert "한 단계 더 확인할게요" in visitor.page
    assert not await _is_in(visitor)
    cookie = next(cookie for cookie in visitor.client.cookie_jar or () if cookie.name == "nunmal_half_way")
    assert cookie.has_nonstandard_attr("HttpOnly")


async def test_a_code_finishes_the_log_in_on_any_node_and_leads_on(app: Quart, other_app: Quart, owner: Owner) -> None:
    visitor = await owner.password(app, "/usage")
    visitor.client.app = other_app
    response = await visitor.post("/login/code", code=f" {owner.code()[:3]} {owner.code()[3:]} ", next="/usage")

    assert (response.status_code, response.location) == (303, "/usage")
    assert await _is_in(visitor)


async def test_a_code_is_not_used_twice_in_its_half_minute(app: Quart, other_app: Quart, owner: Owner) -> None:
    code = owner.code()
    visitors = [await owner.password(node) for node in (app, other_app, app, other_app)]
    responses = await asyncio.gather(*(visitor.post("/login/code", code=code) for visitor in visitors))

    assert sorted(response.status_code for response in responses) == [303, 403, 403, 403]


async def test_the_code_of_the_enrolment_is_used_up(app: Quart, owner: Owner) -> None:
    visitor = await owner.password(app)

    assert (await visitor.post("/login/code", code=owner.code(-1))).status_code == 403
    assert not await _is_in(visitor)


@pytest.mark.parametrize("code", ["", "000000", "12345", "가나다라마바", "\x00" * 6, "9" * 10_000, "aaaa-bbbb-cccc"])
async def test_what_is_no_code_is_refused(app: Quart, owner: Owner, code: str) -> None:
    visitor = await owner.password(app)
    response = await visitor.post("/login/code", code=code)

    assert response.status_code == 403
    assert "인증 코드가 맞지 않거나" in visitor.page


async def test_a_recovery_code_works_once_however_it_is_typed(app: Quart, owner: Owner) -> None:
    typed = owner.codes[3].upper().replace("-", " ")
    first, second = await owner.password(app), await owner.password(app)

    assert (await first.post("/login/code", code=typed)).status_code == 303
    assert (await second.post("/login/code", code=owner.codes[3])).status_code == 403
    await first.get("/account")
    assert "복구 코드가 9개 남았어요" in first.page


async def test_codes_of_one_account_are_worth_nothing_for_another(app: Quart, owner: Owner) -> None:
    other = await _owner(app)
    stranger = await other.password(app)

    for code in (owner.codes[0], owner.code()):
        assert (await stranger.post("/login/code", code=code)).status_code == 403


async def test_an_enrolment_of_one_account_is_worth_nothing_for_another(app: Quart, person: WebVisitor) -> None:
    thief = WebVisitor(app)
    await thief.sign_up()
    secret, fields = await _enrol(thief)
    await person.get("/account")
    response = await person.post("/account/second-step/on", code=pyotp.TOTP(secret).now(), **fields)

    assert response.status_code == 409


async def test_codes_cannot_be_guessed_for_long_and_the_password_step_stays_open(app: Quart, owner: Owner) -> None:
    visitor = await owner.password(app)
    statuses = [(await visitor.post("/login/code", code=f"00000{number}")).status_code for number in range(5)]
    response = await visitor.post("/login/code", code=owner.code())

    assert statuses == [403] * 5
    assert response.status_code == 429
    assert response.headers["Retry-After"] in ("4", "5")
    assert not await _is_in(visitor)
    await owner.password(app)


async def test_log_ins_that_stop_half_way_are_counted(app: Quart, owner: Owner) -> None:
    for _ in range(5):
        await owner.password(app)
    visitor = WebVisitor(app)
    await visitor.get("/login")

    assert (await visitor.post("/login", email=owner.email, password=PASSWORD)).status_code == 429


async def test_a_finished_log_in_clears_what_was_counted(app: Quart, owner: Owner) -> None:
    for code in owner.codes[:6]:
        visitor = await owner.password(app)
        assert (await visitor.post("/login/code", code=code)).status_code == 303


async def test_a_finished_log_in_gives_the_address_its_try_back(app: Quart, owner: Owner, store: Store) -> None:
    counted = sorted([row["count"] async for row in store.throttle._tries.find({})])
    visitor = await owner.password(app)
    assert (await visitor.post("/login/code", code=owner.codes[0])).status_code == 303

    after = sorted([row["count"] async for row in store.throttle._tries.find({})])
    assert sum(after) == pytest.approx(sum(counted), abs=0.1)


@pytest.mark.parametrize("half_way", ["", "nonsense", "가"])
async def test_a_second_step_without_the_first_begins_anew(app: Quart, owner: Owner, half_way: str) -> None:
    visitor = WebVisitor(app)
    await visitor.get("/login")
    visitor.client.set_cookie("localhost", "nunmal_half_way", half_way)
    response: Response = await visitor.post("/login/code", code=owner.code())

    assert (response.status_code, response.location) == (303, "/login")
    assert not await _is_in(visitor)


async def test_a_changed_password_ends_log_ins_that_are_half_way(app: Quart, owner: Owner) -> None:
    thief = await owner.password(app)
    await owner.visitor.get("/account/password")
    await owner.visitor.post("/account/password", old_password=PASSWORD, password="아주 다른 비밀번호 둘")

    assert (await thief.post("/login/code", code=owner.code())).location == "/login"


async def test_it_is_switched_off_with_password_and_code_only(app: Quart, owner: Owner, store: Store) -> None:
    visitor, wrong = owner.visitor, "틀린 비밀번호예요 정말"
    await visitor.get("/account/second-step")
    path = "/account/second-step/off"

    assert (await visitor.post(path, old_password=wrong, code=owner.code())).status_code == 403
    assert (await visitor.post(path, old_password=PASSWORD, code="000000")).status_code == 403
    assert await store.second_steps._steps.count_documents({}) == 1
    response = await visitor.post(path, old_password=PASSWORD, code=owner.code())
    assert response.location == "/account?done=off"
    assert await store.second_steps._codes.count_documents({}) == 0
    await visitor.get("/account/second-step")
    assert (await visitor.post(path, old_password=PASSWORD, code=owner.code(1))).status_code == 409

    stranger = WebVisitor(app)
    await stranger.get("/login")
    assert (await stranger.post("/login", email=owner.email, password=PASSWORD)).status_code == 303


async def test_switching_it_on_and_off_ends_all_other_sessions(app: Quart, person: WebVisitor) -> None:
    await person.get("/account")
    email = re.findall(r"[0-9a-f-]{36}@example\.com", person.page)[0]
    elsewhere = WebVisitor(app)
    await elsewhere.get("/login")
    assert (await elsewhere.post("/login", email=email, password=PASSWORD)).status_code == 303

    codes = await person.switch_on_second_step()
    assert not await _is_in(elsewhere)

    await elsewhere.get("/login")
    await elsewhere.post("/login", email=email, password=PASSWORD)
    assert (await elsewhere.post("/login/code", code=codes[0])).status_code == 303
    await person.get("/account/second-step")
    await person.post("/account/second-step/off", old_password=PASSWORD, code=codes[1])
    assert not await _is_in(elsewhere)
    assert await _is_in(person)


async def test_it_is_not_switched_on_over_another_one(owner: Owner) -> None:
    """Neither from the beginning nor with a set-up that was begun in another tab before."""
    await owner.visitor.get("/account/second-step")
    response = await owner.visitor.post("/account/second-step", old_password=PASSWORD)
    assert response.status_code == 409
    assert "totp-secret" not in owner.visitor.page

    code = pyotp.TOTP(owner.secret).now()
    response = await owner.visitor.post("/account/second-step/on", code=code, enrolment=owner.enrolment)
    assert response.status_code == 409
    await owner.visitor.get("/account/second-step")
    assert "복구 코드가 10개 남았어요" in owner.visitor.page
