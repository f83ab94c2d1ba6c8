"""Break-glass: operators read nobody's conversations, but for a reason, for minutes, and with the owner told."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from quart import Quart

from infra.audit import verified
from shared.chat import AccountRole, GenerationState
from shared.ids import new_id
from shared.store import Store
from tests.factories import LANE
from tests.web_operators import id_of, signed_in_operator
from tests.web_visitor import PASSWORD, WebVisitor

REASON = "사용자가 답이 이상하다고 도움을 청했습니다."
QUESTION = "아무도 모르는 내 이야기"
ANSWER = "**조용히** 들을게요."


@dataclass
class Cast:
    """The owner of a conversation with one answer, and an operator."""

    owner: WebVisitor
    owner_id: str
    email: str
    conversation_id: str
    operator: WebVisitor
    operator_id: str
    codes: list[str]

    async def begin(self, **changes: str) -> str:
        """Let the operator in; the path of the grant."""
        await self.operator.get("/ops/access")
        response = await self.operator.post("/ops/access", **(self.form() | changes))
        assert response.status_code == 303, self.operator.page
        return str(response.location)

    def form(self) -> dict[str, str]:
        """All in order; each has a code of its own."""
        fields = {"email": self.email, "reason": REASON, "minutes": "15"}
        return fields | {"old_password": PASSWORD, "code": self.codes.pop()}


async def _conversation(person: WebVisitor, store: Store, question: str = QUESTION) -> str:
    response = await person.ask(question)
    asked = await store.generations.claim(LANE, "worker")
    assert asked is not None
    await store.generations.finish(asked.id, 1, GenerationState.DONE, [1], ANSWER)
    return str(response.location).removeprefix("/chat/")


@pytest.fixture
async def cast(app: Quart, store: Store) -> Cast:
    owner = WebVisitor(app)
    email = await owner.sign_up()
    conversation_id = await _conversation(owner, store)
    return Cast(owner, await id_of(store, email), email, conversation_id, *await signed_in_operator(app, store))


async def test_every_page_of_a_foreign_conversation_is_missing_for_operators(app: Quart, cast: Cast) -> None:
    await cast.operator.get("/chat")
    ids = dict.fromkeys(("conversation_id", "generation_id", "turn_id"), cast.conversation_id)
    values = ids | {"grant_id": new_id(), "value": "up"}
    rules = [
        rule for rule in app.url_map.iter_rules() if "conversation_id" in rule.arguments and "/v1" not in rule.rule
    ]

    assert len(rules) >= 7
    for rule in rules:
        _, path = rule.build(values) or ("", "")
        assert path, rule
        response = await (cast.operator.post(path) if "POST" in (rule.methods or ()) else cast.operator.get(path))
        assert response.status_code == 404, path
        assert QUESTION not in await response.get_data(as_text=True)


@pytest.mark.parametrize("role", [AccountRole.USER, AccountRole.RESEARCHER])
async def test_the_pages_are_not_there_for_anybody_else(cast: Cast, store: Store, role: AccountRole) -> None:
    grant = await cast.begin()
    await store.users.set_role(cast.operator_id, role)

    for path in ("/ops/access", grant, f"{grant}/{cast.conversation_id}"):
        assert (await cast.operator.get(path)).status_code == 404
    for path in ("/ops/access", f"{grant}/end"):
        assert (await cast.operator.post(path, email=cast.email, reason=REASON, minutes="5")).status_code == 404
    assert len(await store.grants.of_owner(cast.owner_id)) == 1


async def test_who_is_not_logged_in_is_led_to_log_in(visitor: WebVisitor) -> None:
    response = await visitor.get("/ops/access")

    assert (response.status_code, response.location) == (303, "/login?next=/ops/access")


async def test_a_grant_opens_the_conversations_of_one_person_to_read(cast: Cast) -> None:
    grant = await cast.begin()
    await cast.operator.get(grant)
    assert QUESTION in cast.operator.page
    assert f'href="{grant}/{cast.conversation_id}"' in cast.operator.page

    response = await cast.operator.get(f"{grant}/{cast.conversation_id}")

    assert response.status_code == 200
    assert QUESTION in cast.operator.page
    assert "<strong>조용히</strong> 들을게요." in cast.operator.page
    actions = set(re.findall(r'<form[^>]*action="([^"]+)"', cast.operator.page))
    assert actions == {f"{grant}/end", "/language"}
    assert (await cast.operator.get(f"/chat/{cast.conversation_id}")).status_code == 404


async def test_an_answer_in_the_making_is_shown_as_far_as_it_is_stored(cast: Cast, store: Store) -> None:
    await cast.owner.get("/chat")
    response = await cast.owner.ask("하나 더")
    asked = await store.generations.claim(LANE, "worker")
    assert asked is not None
    await store.generations.checkpoint(asked.id, 1, [1, 2], "<b>반쯤</b>", "digest")
    grant = await cast.begin()

    await cast.operator.get(f"{grant}/{str(response.location).removeprefix('/chat/')}")

    assert "&lt;b&gt;반쯤&lt;/b&gt;" in cast.operator.page
    assert "chat-stream" not in cast.operator.page


async def test_a_grant_is_for_one_person_only(app: Quart, cast: Cast, store: Store) -> None:
    other = WebVisitor(app)
    await other.sign_up("박바다")
    foreign = await _conversation(other, store, "다른 사람의 이야기")
    grant = await cast.begin()

    await cast.operator.get(grant)
    assert foreign not in cast.operator.page
    for conversation_id in (foreign, new_id(), "not-an-id"):
        assert (await cast.operator.get(f"{grant}/{conversation_id}")).status_code == 404


async def test_another_operators_grant_looks_like_an_unknown_one(app: Quart, cast: Cast, store: Store) -> None:
    grant = await cast.begin()
    other, _, _ = await signed_in_operator(app, store, "최운영")
    await other.get("/chat")

    for path in (grant, f"{grant}/{cast.conversation_id}", f"/ops/access/{new_id()}", "/ops/access/not-an-id"):
        assert (await other.get(path)).status_code == 404
    assert (await other.post(f"{grant}/end")).status_code == 404
    assert (await cast.operator.get(grant)).status_code == 200


async def test_a_grant_that_is_over_opens_nothing(cast: Cast, store: Store) -> None:
    grant = await cast.begin()
    await store.grants._grants.update_many({}, {"$set": {"expires_at": 1.0}})

    for path in (grant, f"{grant}/{cast.conversation_id}"):
        assert (await cast.operator.get(path)).status_code == 403
        assert "열람 시간이 끝났어요" in cast.operator.page
        assert QUESTION not in cast.operator.page


async def test_a_grant_can_be_ended_early(cast: Cast) -> None:
    grant = await cast.begin()
    await cast.operator.get(grant)

    response = await cast.operator.post(f"{grant}/end")

    assert (response.status_code, response.location) == (303, "/ops/access")
    assert (await cast.operator.get(grant)).status_code == 403
    await cast.operator.get("/ops/access")
    assert REASON in cast.operator.page
    assert "끝남" in cast.operator.page


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"email": "nobody@example.com"}, "계정이 없어요"),
        ({"email": "nothing"}, "계정이 없어요"),
        ({"reason": "그냥 봅니다"}, "10자에서 500자 사이로"),
        ({"reason": " " * 20 + "짧다" + "\n" * 20}, "10자에서 500자 사이로"),
        ({"reason": "가" * 501}, "10자에서 500자 사이로"),
        ({"minutes": "61"}, "읽지 못했어요"),
        ({"minutes": ""}, "읽지 못했어요"),
    ],
)
async def test_a_refused_form_says_why_and_lets_nobody_in(
    cast: Cast, store: Store, fields: dict[str, str], sentence: str
) -> None:
    await cast.operator.get("/ops/access")
    given = cast.form() | fields
    response = await cast.operator.post("/ops/access", **given)

    assert response.status_code == 422
    assert re.search(rf'role="alert">[^<]*{sentence}', cast.operator.page)
    assert given["reason"].strip() in cast.operator.page
    assert await store.grants.of_operator(cast.operator_id) == []
    assert await store.audit.last(10) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"old_password": "틀린 비밀번호예요 정말"}, "old_password"),
        ({"old_password": ""}, "old_password"),
        ({"code": "000000"}, "code"),
        ({"code": ""}, "code"),
    ],
)
async def test_nobody_is_let_in_without_the_operators_password_and_code(
    cast: Cast, store: Store, fields: dict[str, str], field: str
) -> None:
    await cast.operator.get("/ops/access")
    response = await cast.operator.post("/ops/access", **(cast.form() | fields))

    assert response.status_code == 403
    assert f'id="{field}-error" role="alert"' in cast.operator.page
    assert PASSWORD not in cast.operator.page
    assert await store.grants.of_operator(cast.operator_id) == []


async def test_a_code_lets_in_once(cast: Cast, store: Store) -> None:
    form = cast.form()
    await cast.begin(**form)

    assert (await cast.operator.post("/ops/access", **form)).status_code == 403
    assert len(await store.grants.of_operator(cast.operator_id)) == 1


async def test_an_operator_without_a_second_step_is_led_to_it(cast: Cast, store: Store) -> None:
    grant = await cast.begin()
    await store.second_steps.switch_off(cast.operator_id)

    for path in ("/ops/access", grant, f"{grant}/{cast.conversation_id}"):
        assert (await cast.operator.get(path)).status_code == 403
        assert "2단계 인증을 켜야" in cast.operator.page
        assert 'href="/account/second-step"' in cast.operator.page
        assert QUESTION not in cast.operator.page
    assert (await cast.operator.post("/ops/access", **cast.form())).status_code == 403
    assert len(await store.grants.of_owner(cast.owner_id)) == 1


async def test_nothing_changes_without_the_pages_token(cast: Cast, store: Store) -> None:
    grant = await cast.begin()
    forged = {"csrf_token": "x", "email": cast.email, "reason": REASON, "minutes": "5"}

    for path in ("/ops/access", f"{grant}/end"):
        assert (await cast.operator.post(path, **forged)).status_code == 403
    (found,) = await store.grants.of_owner(cast.owner_id)
    assert found.is_running


async def test_each_opening_is_audited_and_no_word_of_anybody_is(cast: Cast, store: Store) -> None:
    grant = await cast.begin()
    for path in (grant, f"{grant}/{cast.conversation_id}", f"{grant}/{cast.conversation_id}", f"{grant}/{new_id()}"):
        await cast.operator.get(path)
    await cast.operator.post(f"{grant}/end")
    await cast.operator.post(f"{grant}/end")

    records = await store.audit.last(20)

    owner, conversation = cast.owner_id, cast.conversation_id
    assert [(record["action"], record["target"]) for record in records] == [
        ("access_granted", owner),
        ("conversations_listed", owner),
        ("conversation_read", conversation),
        ("conversation_read", conversation),
        ("access_ended", owner),
    ]
    assert {record["actor"] for record in records} == {cast.operator_id}
    assert {record["facts"]["grant"] for record in records} == {grant.removeprefix("/ops/access/")}
    for words in (REASON, QUESTION, ANSWER, cast.email, "이운영"):
        assert words not in repr(records)
    assert (await verified(store)).number == 5


async def test_what_cannot_be_recorded_is_not_shown(cast: Cast, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    grant = await cast.begin()

    async def away(*_args: object, **_facts: object) -> None:
        from shared.errors import StoreUnavailable

        raise StoreUnavailable

    monkeypatch.setattr(store.audit, "append", away)

    assert (await cast.operator.get(f"{grant}/{cast.conversation_id}")).status_code == 503
    assert QUESTION not in cast.operator.page


async def test_the_owner_is_told_until_they_put_it_away_and_can_look_it_up(cast: Cast, store: Store) -> None:
    await cast.owner.get("/chat")
    assert "notices" not in cast.owner.page
    await cast.begin()
    operator = await store.users.get(cast.operator_id)
    assert operator is not None
    await store.users.set_name(cast.operator_id, "다른 이름")

    for path in ("/chat", f"/chat/{cast.conversation_id}"):
        await cast.owner.get(path)
        assert f"운영자 이운영 님({operator.email})이 15분 동안" in cast.owner.page
        assert REASON in cast.owner.page
    (grant,) = await store.grants.of_owner(cast.owner_id)
    response = await cast.owner.post(f"/notices/{grant.id}/dismiss")

    assert (response.status_code, response.location) == (303, "/chat")
    await cast.owner.get("/chat")
    assert REASON not in cast.owner.page
    await cast.owner.get("/notices")
    assert f"운영자 이운영 님({operator.email})이 15분 동안" in cast.owner.page
    assert REASON in cast.owner.page


async def test_only_the_owner_sees_and_dismisses_a_notice(cast: Cast, store: Store) -> None:
    await cast.begin()
    (grant,) = await store.grants.of_owner(cast.owner_id)

    for path in ("/chat", "/notices"):
        await cast.operator.get(path)
        assert REASON not in cast.operator.page
    for grant_id in (grant.id, new_id(), "not-an-id"):
        assert (await cast.operator.post(f"/notices/{grant_id}/dismiss")).status_code == 404
    await cast.owner.get("/chat")
    assert (await cast.owner.post(f"/notices/{grant.id}/dismiss", csrf_token="x")).status_code == 403
    assert await store.grants.not_dismissed(cast.owner_id) == [grant]


async def test_a_reason_is_never_markup(cast: Cast) -> None:
    await cast.begin(reason="<img src=x onerror=alert(1)>")

    for person, path in ((cast.owner, "/chat"), (cast.owner, "/notices"), (cast.operator, "/ops/access")):
        await person.get(path)
        assert "<img" not in person.page
        assert "&lt;img src=x" in person.page
